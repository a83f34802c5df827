SELECT subscription, position, version, partition, key, message, state, due_us, cause, attempts,
  since_us, is_edited, coalesce(data, bytes), content_type
FROM parked_rows INDEXED BY parked_rows_key
WHERE key = ?7 AND (subscription, position) >= (?1, ?2) AND subscription <= ?4
  AND (subscription, position, key) > (?1, ?2, ?3) AND (?5 IS NULL OR position = ?5)
  AND (?8 IS NULL OR state = ?8) AND (?9 IS NULL OR due_us <= ?9)
ORDER BY subscription, position LIMIT ?6
