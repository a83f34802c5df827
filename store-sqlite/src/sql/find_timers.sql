SELECT tenant, key, name, generation, due_us FROM timer_rows
WHERE owner = ?1 AND due_us <= ?2 ORDER BY due_us, tenant, key, name LIMIT ?3
