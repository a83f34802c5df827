SELECT fingerprint, position, at_us FROM commit_rows WHERE id_bytes = ?1
