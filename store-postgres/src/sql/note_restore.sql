SELECT cqrs.note_restore($1)
