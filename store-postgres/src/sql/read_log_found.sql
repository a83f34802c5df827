-- With the last column: how far the log was looked through. A first row of NULLs where nothing was found.
WITH found AS MATERIALIZED (
  SELECT f.positions, f.through
  FROM cqrs.candidates($4, $5, $6, $7, $8, $9, $1, $2, $3) AS f
)
SELECT e.position, e.version, e.recorded_at, e.id, e.schema_version, e.type,
  array_to_string(e.tags, E'\x1f'), e.metadata, e.data, e.content_type, e.bytes, e.tenant, e.category, e.stream,
  f.through
FROM found AS f
LEFT JOIN LATERAL unnest(f.positions) AS p(position) ON true
LEFT JOIN cqrs.events AS e ON e.position = p.position
  AND cqrs.lets_through($4, $5, $6, $7, $8, $9, $10, e.type, e.category, e.tags, e.tenant, e.stream)
ORDER BY p.position
