SELECT subscription, position, version, partition, key, message, state, due_us, cause, attempts,
  since_us, is_edited, coalesce(data, bytes), content_type
FROM parked_rows INDEXED BY parked_rows_due
WHERE (subscription, position, key) > (?1, ?2, ?3) AND subscription <= ?4
  AND (?5 IS NULL OR position = ?5)
  AND due_us IS NOT NULL AND due_us <= ?7 AND (?8 IS NULL OR state = ?8)
ORDER BY subscription, position, key LIMIT ?6
