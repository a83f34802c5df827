SELECT id, cqrs.head() FROM cqrs.log
