INSERT INTO cqrs.events (position, version, recorded_at, id, schema_version, tenant, category, stream, type,
  metadata, data)
SELECT (v - 1)::bigint * $1 + a, v, now(), gen_random_uuid(), 1, '', 'account', 'account-' || a,
  CASE v WHEN 1 THEN 'bank.opened' ELSE 'bank.deposited' END, '{}',
  CASE v WHEN 1 THEN $3::text ELSE $4::text END::json
FROM generate_series(1, $2::integer) AS v, generate_series(1, $1::integer) AS a
ORDER BY v, a
