SELECT id_bytes FROM commit_rows WHERE id_bytes > ?1 ORDER BY id_bytes LIMIT 1 OFFSET ?2
