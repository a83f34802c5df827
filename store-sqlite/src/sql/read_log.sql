SELECT position, tenant, category, stream, version, type, schema_version, id_bytes, recorded_us,
  tags, metadata, coalesce(data, bytes), content_type
FROM event_rows WHERE position > ?1 AND position <= ?2
ORDER BY position
