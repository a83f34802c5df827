INSERT INTO events (stream, version, type, id, metadata, data)
SELECT '00000000-0000-7000-8000-' || lpad(to_hex(account), 12, '0'),
       version,
       CASE version WHEN 1 THEN 'Opened' ELSE 'Deposited' END,
       ('01000000-0000-7000-8000-'
           || lpad(to_hex(row_number() OVER (ORDER BY version, account)), 12, '0'))::uuid,
       '{}',
       CASE version WHEN 1 THEN $3::text ELSE $4::text END::json
FROM generate_series(1, $1::int) account, generate_series(1, $2::int) version
ORDER BY version, account
