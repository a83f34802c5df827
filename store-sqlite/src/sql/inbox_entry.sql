SELECT fingerprint, position, reply FROM inbox_rows
WHERE consumer = ?1 AND message_bytes = ?2 AND coalesce(at_us >= ?3, 1)
