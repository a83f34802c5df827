SELECT count(*) FROM cqrs.documents WHERE collection = $1 AND tenant = $2 AND body IS NOT NULL
