SELECT position, version FROM event_rows
WHERE tenant = ?1 AND category = ?2 AND stream = ?3 AND version >= ?4
ORDER BY version LIMIT ?5
