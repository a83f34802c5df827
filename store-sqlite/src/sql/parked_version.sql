SELECT version FROM parked_rows WHERE subscription = ?1 AND position = ?2 AND key = ?3
