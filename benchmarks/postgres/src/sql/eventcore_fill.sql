-- Its trigger numbers the events of a stream one by one: the rows come in that order. Their ids
-- are in order too, as its version 7 ids are.
INSERT INTO eventcore_events (event_id, stream_id, event_type, event_data)
SELECT ('01000000-0000-7000-8000-'
           || lpad(to_hex(row_number() OVER (ORDER BY version, account)), 12, '0'))::uuid,
       id,
       'BankEvent',
       replace(CASE version WHEN 1 THEN $3::text ELSE $4::text END, '{account}', id)::jsonb
FROM generate_series(1, $1::int) account,
     generate_series(1, $2::int) version,
     LATERAL (SELECT '00000000-0000-7000-8000-' || lpad(to_hex(account), 12, '0')) named(id)
ORDER BY version, account
