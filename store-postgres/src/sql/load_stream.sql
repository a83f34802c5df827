-- What a fold needs, or all of it ($7). Each value of a row costs more than finding the row.
SELECT NULL::bigint, e.position, e.version, CASE WHEN $7 THEN e.recorded_at END, CASE WHEN $7 THEN e.id END,
  e.schema_version, e.type, CASE WHEN $7 THEN array_to_string(e.tags, E'\x1f') END,
  CASE WHEN $7 THEN e.metadata END, e.data, e.content_type, e.bytes
FROM cqrs.events AS e
WHERE e.stream = $3 AND e.category = $2 AND e.tenant = $1 AND e.version BETWEEN $4 AND $5
ORDER BY e.version LIMIT $6
