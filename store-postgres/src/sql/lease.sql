SELECT name, holder, token, until, taken_over FROM cqrs.lease_1($1, $2, $3, $4, $5, $6)
