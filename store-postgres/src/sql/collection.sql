SELECT fields FROM cqrs.collections WHERE name = $1
