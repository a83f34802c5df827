SELECT count(*) FROM cqrs.document_fields
WHERE collection = $1 AND tenant = $2 AND field = $3 AND value = $4
