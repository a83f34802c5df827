SELECT 1 FROM event_rows WHERE id_bytes = ?1
