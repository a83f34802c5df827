SELECT version, data FROM events WHERE stream = $1 ORDER BY version
