INSERT INTO events (stream, version, type, id, metadata, data) VALUES ($1, $2, $3, $4, '{}', $5)
