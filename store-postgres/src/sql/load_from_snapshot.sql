-- The snapshot, in the last columns of a row of its own, and the events that come after it: what a fold
-- needs of them, or all of it ($8).
WITH snapshot AS MATERIALIZED (
  SELECT k.version, k.body FROM cqrs.snapshots AS k
  WHERE k.stream = $3 AND k.category = $2 AND k.tenant = $1 AND k.schema = $7 AND k.version BETWEEN $4 AND $5
    -- One that lies beyond the end of the stream is somebody's mistake.
    AND (
      SELECT true FROM cqrs.events AS x
      WHERE x.stream = k.stream AND x.category = k.category AND x.tenant = k.tenant AND x.version = k.version LIMIT 1)
)
SELECT NULL::bigint, NULL::bigint, NULL::bigint AS at_version, NULL::timestamptz, NULL::uuid, NULL::integer, NULL, NULL,
  NULL::json, NULL::json, NULL, NULL::bytea, s.version, s.body
FROM snapshot AS s
UNION ALL
SELECT NULL, e.* FROM (
  SELECT e.position, e.version, CASE WHEN $8 THEN e.recorded_at END, CASE WHEN $8 THEN e.id END,
    e.schema_version, e.type, CASE WHEN $8 THEN array_to_string(e.tags, E'\x1f') END,
    CASE WHEN $8 THEN e.metadata END, e.data, e.content_type, e.bytes, NULL::bigint, NULL
  FROM cqrs.events AS e
  WHERE e.stream = $3 AND e.category = $2 AND e.tenant = $1
    AND e.version BETWEEN coalesce((SELECT s.version + 1 FROM snapshot AS s), $4) AND $5
  ORDER BY e.version LIMIT $6
) AS e
ORDER BY at_version NULLS FIRST
