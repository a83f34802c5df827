INSERT INTO events (stream, version, type, id, metadata, data)
SELECT stream, version, type, id, '{}', data
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::uuid[], $5::json[])
    AS appended(stream, version, type, id, data)
