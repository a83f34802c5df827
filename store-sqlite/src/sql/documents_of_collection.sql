SELECT tenant, id, body FROM documents
WHERE collection = ?1 AND body IS NOT NULL ORDER BY tenant, id
