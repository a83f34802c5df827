SELECT position FROM event_tags WHERE tag = ?1 AND position >= ?2 ORDER BY position LIMIT 1
