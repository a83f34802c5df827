DELETE FROM documents WHERE rowid IN (
  SELECT rowid FROM documents WHERE collection = ?1 ORDER BY tenant, id LIMIT ?2)
