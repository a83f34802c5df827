SELECT tenant, id, body, version FROM documents
WHERE collection = ?1 AND body IS NOT NULL
