SELECT cqrs.before_time($1, $2, $3)
