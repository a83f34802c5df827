SELECT fingerprint, position, at_us FROM commits WHERE id_bytes = ?1
