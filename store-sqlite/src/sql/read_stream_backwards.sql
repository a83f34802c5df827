SELECT position, NULL, NULL, NULL, version, type, schema_version, id_bytes, recorded_us,
  tags, metadata, coalesce(data, bytes), content_type
FROM event_rows
WHERE tenant = ?1 AND category = ?2 AND stream = ?3 AND version BETWEEN ?4 AND ?5
  AND recorded_us <= ?6
ORDER BY version DESC
