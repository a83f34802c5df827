SELECT position, recorded_us FROM events WHERE position >= ?1 ORDER BY position LIMIT 1
