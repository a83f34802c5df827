SELECT subscription, position, version, partition, key, message, state, due_us, cause, attempts,
  since_us, is_edited, coalesce(data, bytes), content_type
FROM parked_rows INDEXED BY parked_rows_due
WHERE (subscription, position) > (?1, ?2) AND subscription <= ?3
  AND due_us IS NOT NULL AND due_us <= ?5 AND (?6 IS NULL OR state = ?6)
ORDER BY subscription, position LIMIT ?4
