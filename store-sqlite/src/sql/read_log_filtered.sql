SELECT position, tenant, category, stream, version, type, schema_version, id_bytes, recorded_us,
  tags, metadata, coalesce(data, bytes), content_type
FROM event_rows NOT INDEXED
WHERE position > ?1 AND position <= ?2
  AND (?3 IS NULL OR type IN (SELECT value FROM json_each(?3)))
  AND (?4 IS NULL OR category IN (SELECT value FROM json_each(?4)))
  AND (?5 IS NULL OR tenant = ?5)
ORDER BY position
