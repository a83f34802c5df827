INSERT INTO timer_rows (owner, tenant, key, name, generation, due_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (owner, tenant, key, name)
  DO UPDATE SET generation = excluded.generation, due_us = excluded.due_us
