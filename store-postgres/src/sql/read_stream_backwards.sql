SELECT e.position, e.version, e.recorded_at, e.id, e.schema_version, e.type,
  array_to_string(e.tags, E'\x1f'), e.metadata, e.data, e.content_type, e.bytes
FROM cqrs.events AS e
WHERE e.tenant = $1 AND e.category = $2 AND e.stream = $3 AND e.version BETWEEN $4 AND $5
  AND e.recorded_at <= $6
ORDER BY e.version DESC LIMIT $7
