SELECT rowid FROM inbox_rows WHERE rowid > ?1 ORDER BY rowid LIMIT 1 OFFSET ?2
