DELETE FROM document_fields INDEXED BY document_fields_of
WHERE tenant = ?1 AND collection = ?2 AND id = ?3
