SELECT tenant, key, name, generation, due FROM cqrs.timers
WHERE owner = $1 AND due <= $2 ORDER BY due, tenant, key, name LIMIT $3
