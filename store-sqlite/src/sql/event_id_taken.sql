SELECT 1 FROM events WHERE id_bytes = ?1
