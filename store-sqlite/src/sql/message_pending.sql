SELECT 1 FROM outgoing_rows WHERE id_bytes = ?1
