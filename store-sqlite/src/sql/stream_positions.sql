SELECT position, version FROM events
WHERE tenant = ?1 AND category = ?2 AND stream = ?3 AND version >= ?4
ORDER BY version LIMIT ?5
