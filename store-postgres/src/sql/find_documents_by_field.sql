SELECT d.id, d.version, d.body
FROM (
  SELECT f.collection, f.tenant, f.id FROM cqrs.document_fields AS f
  WHERE f.collection = $1 AND f.tenant = $2 AND f.field = $3 AND f.value = $4 AND f.id > $5
  ORDER BY f.id LIMIT $6 OFFSET $7
) AS f
JOIN cqrs.documents AS d ON d.collection = f.collection AND d.tenant = f.tenant AND d.id = f.id
ORDER BY d.id
