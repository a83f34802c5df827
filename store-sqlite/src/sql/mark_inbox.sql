INSERT INTO inbox (consumer, message_bytes, fingerprint, position, reply) VALUES (?1, ?2, ?3, ?4, ?5)
