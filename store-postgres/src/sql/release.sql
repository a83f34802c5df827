SELECT cqrs.release_1($1, $2, $3)
