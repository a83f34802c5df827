DELETE FROM document_fields WHERE tenant = ?1 AND collection = ?2 AND id = ?3
