-- What a fold needs, or all of it ($7). The events of a stream come in the order of their versions: no plan
-- can join them but stream by stream. A sort of all rows would only cost time.
SELECT r.n, e.position, e.version, CASE WHEN $7 THEN e.recorded_at END, CASE WHEN $7 THEN e.id END,
  e.schema_version, e.type, CASE WHEN $7 THEN array_to_string(e.tags, E'\x1f') END,
  CASE WHEN $7 THEN e.metadata END, e.data, e.content_type, e.bytes
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::integer[])
  WITH ORDINALITY AS r(tenant, category, stream, low, high, most, n)
CROSS JOIN LATERAL (
  SELECT * FROM cqrs.events AS k
  WHERE k.stream = r.stream AND k.category = r.category AND k.tenant = r.tenant
    AND k.version BETWEEN r.low AND r.high
  ORDER BY k.version LIMIT r.most
) AS e
