INSERT INTO snapshot_rows (tenant, category, stream, schema_bytes, version, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (tenant, category, stream, schema_bytes)
  DO UPDATE SET version = excluded.version, body = excluded.body
