INSERT INTO event (event_type, payload, account_id)
SELECT CASE version WHEN 1 THEN 'Opened' ELSE 'Deposited' END,
       convert_to(
           replace(CASE version WHEN 1 THEN $3::text ELSE $4::text END, '{account}', id), 'UTF8'
       ),
       id
FROM generate_series(1, $1::int) account,
     generate_series(1, $2::int) version,
     LATERAL (SELECT '00000000-0000-7000-8000-' || lpad(to_hex(account), 12, '0')) named(id)
ORDER BY version, account
