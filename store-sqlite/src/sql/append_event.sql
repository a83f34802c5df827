INSERT INTO event_rows (
  position, tenant, category, stream, version, type, schema_version, id_bytes, recorded_us,
  tags, metadata, data, content_type, bytes)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
