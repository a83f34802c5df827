DELETE FROM cqrs.document_fields WHERE collection = $1
