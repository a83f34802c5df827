SELECT d.id, d.version, d.body
FROM document_fields AS f
CROSS JOIN documents AS d ON d.tenant = f.tenant AND d.collection = f.collection AND d.id = f.id
WHERE f.tenant = ?1 AND f.collection = ?2 AND f.field = ?3 AND f.value = ?4 AND f.id > ?5
ORDER BY f.id LIMIT ?6 OFFSET ?7
