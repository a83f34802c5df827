SELECT position, id_bytes, kind, name, key, tenant, recorded_us, not_before_us, metadata,
  coalesce(data, bytes), content_type, answer_to, tries
FROM outgoing_rows WHERE position > ?1 ORDER BY position
