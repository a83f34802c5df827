DELETE FROM timer_rows WHERE owner = ?1 AND tenant = ?2 AND key = ?3 AND name = ?4
