SELECT subscription, position, version, partition, key, message, state, due_us, cause, attempts,
  since_us, is_edited, coalesce(data, bytes), content_type
FROM parked_rows INDEXED BY parked_rows_key
WHERE key = ?5 AND (subscription, position) > (?1, ?2) AND subscription <= ?3
  AND (?6 IS NULL OR state = ?6) AND (?7 IS NULL OR due_us <= ?7)
ORDER BY subscription, position LIMIT ?4
