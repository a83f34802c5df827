SELECT event.version, event.data, asked.number
FROM unnest($1::text[]) WITH ORDINALITY asked(stream, number),
     LATERAL (SELECT version, data
              FROM events
              WHERE events.stream = asked.stream
              ORDER BY version) event
