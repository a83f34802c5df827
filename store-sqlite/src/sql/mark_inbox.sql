INSERT INTO inbox_rows (consumer, message_bytes, fingerprint, position, reply, at_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (consumer, message_bytes) DO UPDATE SET
  fingerprint = excluded.fingerprint, position = excluded.position, reply = excluded.reply,
  at_us = excluded.at_us
