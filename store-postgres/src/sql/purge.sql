SELECT cqrs.purge_1($1, $2, $3)
