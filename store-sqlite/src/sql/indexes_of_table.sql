SELECT name FROM sqlite_master
WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL
