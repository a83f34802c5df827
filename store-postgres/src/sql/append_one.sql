-- One commit that appends one event, at a version that is known, and that this event tells of: one row when
-- it is applied. It is none, or an index refuses it, when something speaks against it: only `commit` tells
-- what.
INSERT INTO cqrs.events (position, version, recorded_at, id, schema_version, tenant, category, stream, type,
  metadata, data, content_type, bytes, fingerprint, places)
SELECT nextval('cqrs.positions'), $6 + 1, cqrs.tick(), $9, $8, $3, $4, $5, $7, $10, $11, $12, $13, $2, 1
FROM (SELECT cqrs.take_turn_1(ARRAY[$1], NULL) AS is_new OFFSET 0) AS turn
WHERE turn.is_new AND $6 = coalesce((
  SELECT e.version FROM cqrs.events AS e
  WHERE e.stream = $5 AND e.category = $4 AND e.tenant = $3
  ORDER BY e.version DESC LIMIT 1
), 0)
RETURNING position - 1
