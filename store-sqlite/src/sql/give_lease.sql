INSERT INTO lease_rows (name, holder, token, until_us, is_backed) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name) DO UPDATE SET
  holder = excluded.holder, token = excluded.token, until_us = excluded.until_us,
  is_backed = excluded.is_backed
