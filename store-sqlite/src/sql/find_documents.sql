SELECT id, version, body FROM documents
WHERE tenant = ?1 AND collection = ?2 AND id > ?3 AND body IS NOT NULL
ORDER BY id LIMIT ?4 OFFSET ?5
