SELECT 1 FROM lease_rows WHERE holder = ?1 LIMIT 1
