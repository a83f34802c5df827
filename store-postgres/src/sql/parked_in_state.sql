SELECT subscription, position, version, partition, key, message, state, due, cause, attempts, since,
  is_edited, data, content_type, bytes
FROM cqrs.parked
WHERE state = $8 AND (subscription, position, key) > ($1, $2, $3) AND subscription <= $4
  AND ($5::bigint IS NULL OR position = $5)
ORDER BY subscription, position, key LIMIT $6
