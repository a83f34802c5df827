SELECT position FROM cqrs.commits WHERE id = $1
