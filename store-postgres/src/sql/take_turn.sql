SELECT cqrs.take_turn($1)
