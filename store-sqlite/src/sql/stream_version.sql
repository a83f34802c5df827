SELECT max(version) FROM events WHERE tenant = ?1 AND category = ?2 AND stream = ?3
