DELETE FROM commit_rows WHERE id_bytes = ?1
