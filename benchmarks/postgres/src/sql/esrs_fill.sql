INSERT INTO account_events (id, aggregate_id, payload, occurred_on, sequence_number)
SELECT gen_random_uuid(),
       ('00000000-0000-7000-8000-' || lpad(to_hex(account), 12, '0'))::uuid,
       CASE version WHEN 1 THEN $3::text ELSE $4::text END::jsonb,
       now() + make_interval(secs => row_number() OVER (ORDER BY version, account) / 1000.0),
       version
FROM generate_series(1, $1::int) account, generate_series(1, $2::int) version
ORDER BY version, account
