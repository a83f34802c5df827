DELETE FROM commit_rows WHERE id_bytes > ?1 AND id_bytes <= ?2 AND at_us < ?3
