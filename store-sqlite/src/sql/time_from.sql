SELECT position, recorded_us FROM event_rows WHERE position >= ?1 ORDER BY position LIMIT 1
