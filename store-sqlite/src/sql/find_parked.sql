SELECT subscription, position, version, partition, key, message, state, due_us, cause, attempts,
  since_us, is_edited, coalesce(data, bytes), content_type
FROM parked_rows
WHERE (subscription, position, key) > (?1, ?2, ?3) AND subscription <= ?4
  AND (?5 IS NULL OR position = ?5)
ORDER BY subscription, position, key LIMIT ?6
