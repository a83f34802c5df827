DELETE FROM commits WHERE id_bytes = ?1
