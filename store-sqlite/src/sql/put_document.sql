INSERT INTO documents (tenant, collection, id, version, body) VALUES (?1, ?2, ?3, 1, ?4)
ON CONFLICT (tenant, collection, id) DO UPDATE SET version = version + 1, body = excluded.body
