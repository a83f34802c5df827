SELECT id_bytes FROM commits WHERE id_bytes > ?1 ORDER BY id_bytes LIMIT 1 OFFSET ?2
