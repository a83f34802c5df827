SELECT count(*) FROM document_fields
WHERE tenant = ?1 AND collection = ?2 AND field = ?3 AND value = ?4
