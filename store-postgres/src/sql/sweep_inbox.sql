DELETE FROM cqrs.inbox
WHERE ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid
  AND at < clock_timestamp() - $3
