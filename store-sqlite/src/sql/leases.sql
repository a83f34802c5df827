SELECT name, holder, token, until_us FROM lease_rows WHERE name >= ?1 ORDER BY name
