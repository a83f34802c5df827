DELETE FROM cqrs.heads WHERE position < (SELECT max(position) FROM cqrs.heads)
