UPDATE documents SET body = ?2 WHERE collection = ?1 AND body IS NOT NULL
