SELECT subscription, position, version, partition, key, message, state, due_us, cause, attempts,
  since_us, is_edited, coalesce(data, bytes), content_type
FROM parked_rows
WHERE (subscription, position) > (?1, ?2) AND subscription <= ?3
ORDER BY subscription, position LIMIT ?4
