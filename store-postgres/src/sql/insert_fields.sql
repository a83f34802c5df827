INSERT INTO cqrs.document_fields (collection, tenant, field, value, id, is_unique)
SELECT $1, w.tenant, w.field, w.value, w.id, w.is_unique
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[])
  AS w(tenant, field, value, id, is_unique)
