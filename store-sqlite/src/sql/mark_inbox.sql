INSERT INTO inbox_rows (consumer, message_bytes, fingerprint, position, reply) VALUES (?1, ?2, ?3, ?4, ?5)
