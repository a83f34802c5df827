SELECT tenant, id, body FROM cqrs.documents
WHERE collection = $1 AND (tenant, id) > ($2, $3) AND body IS NOT NULL
ORDER BY tenant, id LIMIT $4
