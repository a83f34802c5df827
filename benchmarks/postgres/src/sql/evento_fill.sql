-- Ids as those of a ULID are spelled.
INSERT INTO event
    (id, name, aggregator_type, aggregator_id, version, data, metadata, tenant, timestamp,
     timestamp_subsec)
SELECT upper(lpad(to_hex(number), 26, '0')),
       CASE version WHEN 1 THEN 'Opened' ELSE 'Deposited' END,
       'bank/Account',
       upper(lpad(to_hex(account), 26, '0')),
       version,
       CASE version WHEN 1 THEN $3::bytea ELSE $4::bytea END,
       $5::bytea,
       '',
       1700000000 + number / 1000,
       number % 1000
FROM (SELECT account, version, row_number() OVER (ORDER BY version, account) AS number
      FROM generate_series(1, $1::int) account, generate_series(1, $2::int) version) events
ORDER BY number
