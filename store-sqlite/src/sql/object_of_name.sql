SELECT type FROM sqlite_master WHERE lower(name) = lower(?1)
