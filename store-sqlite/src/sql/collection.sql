SELECT fields FROM collections WHERE name = ?1
