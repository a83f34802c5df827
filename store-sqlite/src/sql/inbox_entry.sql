SELECT fingerprint, position, reply FROM inbox WHERE consumer = ?1 AND message_bytes = ?2
