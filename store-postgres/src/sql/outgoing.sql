SELECT position, id, kind, name, key, tenant, recorded_at, not_before, metadata, data, content_type,
  bytes, answer_to, tries
FROM cqrs.outgoing WHERE position > $1 ORDER BY position LIMIT $2
