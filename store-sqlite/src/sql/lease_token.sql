SELECT token FROM lease_rows WHERE name = ?1
