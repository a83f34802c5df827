SELECT position FROM checkpoints WHERE subscription = ?1 AND partition = ?2
