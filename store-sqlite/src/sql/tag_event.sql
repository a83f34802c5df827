INSERT OR IGNORE INTO event_tags (tag, position) VALUES (?1, ?2)
