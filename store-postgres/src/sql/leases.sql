SELECT name, holder, token, until, false FROM cqrs.leases
WHERE left(name, $2) = $1 AND name >= $1 AND holder <> '' AND until > clock_timestamp()
ORDER BY name
