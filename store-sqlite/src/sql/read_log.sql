SELECT position, tenant, category, stream, version, type, schema_version, id_bytes, recorded_us,
  tags, metadata, data, content_type, bytes
FROM events WHERE position > ?1 AND position <= ?2
ORDER BY position
