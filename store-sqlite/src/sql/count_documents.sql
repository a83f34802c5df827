SELECT count(*) FROM documents
WHERE tenant = ?1 AND collection = ?2 AND body IS NOT NULL
