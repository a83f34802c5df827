SELECT fingerprint, position, reply FROM cqrs.inbox
WHERE consumer = $1 AND message = $2 AND at >= clock_timestamp() - $3
