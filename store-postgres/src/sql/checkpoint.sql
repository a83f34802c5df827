SELECT id, cqrs.head(),
  (SELECT position FROM cqrs.checkpoints WHERE subscription = $1 AND partition = $2)
FROM cqrs.log
