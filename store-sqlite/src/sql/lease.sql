SELECT holder, token, until_us, is_backed FROM lease_rows WHERE name = ?1
