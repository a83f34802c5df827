-- Through a pooler: whether the log was restored is asked here, for nobody is told of a new connection.
SELECT base, log_head, verdicts FROM cqrs.commit_1(
  CASE WHEN cqrs.note_restore($3) IS NOT NULL THEN $1 END, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
  $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28,
  $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)
