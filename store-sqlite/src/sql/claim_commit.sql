INSERT INTO commit_rows (id_bytes, fingerprint, position, at_us) VALUES (?1, ?2, ?3, ?4)
