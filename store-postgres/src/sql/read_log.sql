SELECT e.position, e.version, e.recorded_at, e.id, e.schema_version, e.type,
  array_to_string(e.tags, E'\x1f'), e.metadata, e.data, e.content_type, e.bytes, e.tenant, e.category, e.stream
FROM cqrs.events AS e WHERE e.position > $1 ORDER BY e.position LIMIT $2
