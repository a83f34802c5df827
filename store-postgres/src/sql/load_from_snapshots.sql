-- For each stream its snapshot, in the last columns of a row of its own, and the events that come after it:
-- what a fold needs of them, or all of it ($8). Those of a stream come in this order: no plan can join them
-- but stream by stream. A sort of all rows would only cost time.
WITH r AS MATERIALIZED (
  SELECT r.*, s.version, s.body
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::integer[], $7::bytea[])
    WITH ORDINALITY AS r(tenant, category, stream, low, high, most, schema, n)
  LEFT JOIN LATERAL (
    SELECT k.version, k.body FROM cqrs.snapshots AS k
    WHERE k.stream = r.stream AND k.category = r.category AND k.tenant = r.tenant
      AND k.schema = r.schema AND k.version BETWEEN r.low AND r.high
      -- One that lies beyond the end of the stream is somebody's mistake.
      AND (
        SELECT true FROM cqrs.events AS x
        WHERE x.stream = k.stream AND x.category = k.category AND x.tenant = k.tenant
          AND x.version = k.version LIMIT 1)
  ) AS s ON true
)
SELECT r.n, e.*
FROM r
CROSS JOIN LATERAL (
  SELECT NULL::bigint, NULL::bigint, NULL::timestamptz, NULL::uuid, NULL::integer, NULL, NULL, NULL::json,
    NULL::json, NULL, NULL::bytea, r.version, r.body
  WHERE r.version IS NOT NULL
  UNION ALL
  SELECT e.position, e.version, CASE WHEN $8 THEN e.recorded_at END, CASE WHEN $8 THEN e.id END,
    e.schema_version, e.type, CASE WHEN $8 THEN array_to_string(e.tags, E'\x1f') END,
    CASE WHEN $8 THEN e.metadata END, e.data, e.content_type, e.bytes, NULL, NULL
  FROM (
    SELECT * FROM cqrs.events AS k
    WHERE k.stream = r.stream AND k.category = r.category AND k.tenant = r.tenant
      AND k.version BETWEEN coalesce(r.version + 1, r.low) AND r.high
    ORDER BY k.version LIMIT r.most
  ) AS e
) AS e
