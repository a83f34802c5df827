SELECT position FROM cqrs.commits WHERE id = $1
UNION ALL
SELECT position + places - 1 FROM cqrs.events WHERE id = $2 AND fingerprint IS NOT NULL
LIMIT 1
