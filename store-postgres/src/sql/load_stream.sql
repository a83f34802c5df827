SELECT 1::bigint, e.position, e.version, e.recorded_at, e.id, e.schema_version, e.type,
  array_to_string(e.tags, E'\x1f'), e.metadata, e.data, e.content_type, e.bytes
FROM cqrs.events AS e
WHERE e.stream = $3 AND e.category = $2 AND e.tenant = $1 AND e.version BETWEEN $4 AND $5
ORDER BY e.version LIMIT $6
