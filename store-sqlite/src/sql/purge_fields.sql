DELETE FROM document_fields WHERE (tenant, collection, id) IN (
  SELECT tenant, collection, id FROM documents
  WHERE collection = ?1 ORDER BY tenant, id LIMIT ?2)
