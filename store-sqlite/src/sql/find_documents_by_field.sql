SELECT d.id, d.version, d.body
FROM (
  SELECT tenant, collection, id FROM document_fields
  WHERE tenant = ?1 AND collection = ?2 AND field = ?3 AND value = ?4 AND id > ?5
  ORDER BY id LIMIT ?6 OFFSET ?7
) AS f
CROSS JOIN documents AS d ON d.tenant = f.tenant AND d.collection = f.collection AND d.id = f.id
ORDER BY f.id
