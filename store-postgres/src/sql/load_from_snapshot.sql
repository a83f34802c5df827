-- With the last columns: the snapshot that the events go on after.
SELECT 1::bigint, e.position, e.version, e.recorded_at, e.id, e.schema_version, e.tenant, e.category, e.stream,
  e.type, array_to_string(e.tags, E'\x1f'), e.metadata, e.data, e.content_type, e.bytes, s.version, s.body
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
  SELECT k.version, k.body FROM cqrs.snapshots AS k
  WHERE k.stream = $3 AND k.category = $2 AND k.tenant = $1 AND k.schema = $7 AND k.version BETWEEN $4 AND $5
    -- One that lies beyond the end of the stream is somebody's mistake.
    AND EXISTS (
      SELECT FROM cqrs.events AS x
      WHERE x.stream = k.stream AND x.category = k.category AND x.tenant = k.tenant AND x.version = k.version)
) AS s ON true
LEFT JOIN LATERAL (
  SELECT * FROM cqrs.events AS k
  WHERE k.stream = $3 AND k.category = $2 AND k.tenant = $1
    AND k.version BETWEEN coalesce(s.version + 1, $4) AND $5
  ORDER BY k.version LIMIT $6
) AS e ON true
ORDER BY e.version
