INSERT INTO parked_rows (
  subscription, position, version, partition, key, message, state, due_us, cause, attempts, since_us,
  is_edited, data, content_type, bytes)
VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
ON CONFLICT (subscription, position, key) DO UPDATE SET
  version = version + 1, partition = excluded.partition,
  message = excluded.message, state = excluded.state, due_us = excluded.due_us,
  cause = excluded.cause, attempts = excluded.attempts, is_edited = excluded.is_edited,
  data = excluded.data, content_type = excluded.content_type, bytes = excluded.bytes
