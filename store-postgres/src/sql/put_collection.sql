INSERT INTO cqrs.collections (name, fields) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET fields = excluded.fields
