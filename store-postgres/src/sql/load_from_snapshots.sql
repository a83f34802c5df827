-- With the last columns: the snapshot that the events of a stream go on after.
SELECT r.n, e.position, e.version, e.recorded_at, e.id, e.schema_version, e.tenant, e.category, e.stream, e.type,
  array_to_string(e.tags, E'\x1f'), e.metadata, e.data, e.content_type, e.bytes, s.version, s.body
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::integer[], $7::bytea[])
  WITH ORDINALITY AS r(tenant, category, stream, low, high, most, schema, n)
LEFT JOIN LATERAL (
  SELECT k.version, k.body FROM cqrs.snapshots AS k
  WHERE k.stream = r.stream AND k.category = r.category AND k.tenant = r.tenant
    AND k.schema = r.schema AND k.version BETWEEN r.low AND r.high
    -- One that lies beyond the end of the stream is somebody's mistake.
    AND EXISTS (
      SELECT FROM cqrs.events AS x
      WHERE x.stream = k.stream AND x.category = k.category AND x.tenant = k.tenant
        AND x.version = k.version)
) AS s ON true
LEFT JOIN LATERAL (
  SELECT * FROM cqrs.events AS k
  WHERE k.stream = r.stream AND k.category = r.category AND k.tenant = r.tenant
    AND k.version BETWEEN coalesce(s.version + 1, r.low) AND r.high
  ORDER BY k.version LIMIT r.most
) AS e ON true
ORDER BY r.n, e.version
