SELECT position, stream, version, type, id, recorded_at, metadata, data FROM events ORDER BY position
