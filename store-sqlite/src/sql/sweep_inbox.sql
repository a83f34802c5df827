DELETE FROM inbox_rows WHERE rowid > ?1 AND rowid <= ?2 AND at_us < ?3
