INSERT INTO document_fields (tenant, collection, field, value, id, is_unique)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
