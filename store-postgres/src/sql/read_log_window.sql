SELECT e.position, e.version, e.recorded_at, e.id, e.schema_version, e.type,
  array_to_string(e.tags, E'\x1f'), e.metadata, e.data, e.content_type, e.bytes, e.tenant, e.category, e.stream
FROM cqrs.events AS e
WHERE e.position > $1 AND e.position <= $2
  AND ($3::text[] IS NULL OR e.type = ANY ($3)) AND ($4::text[] IS NULL OR e.category = ANY ($4))
  AND ($5::text IS NULL OR e.tenant = $5)
ORDER BY e.position LIMIT $6
