SELECT id, version, body FROM cqrs.documents
WHERE collection = $1 AND tenant = $2 AND id = $3 AND body IS NOT NULL
