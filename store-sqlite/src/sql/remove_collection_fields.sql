DELETE FROM document_fields WHERE collection = ?1
