INSERT INTO checkpoints (subscription, partition, position) VALUES (?1, ?2, ?3)
ON CONFLICT (subscription, partition) DO UPDATE SET position = excluded.position
