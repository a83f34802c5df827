-- One commit that appends one event, at a version that is known: one row when it is applied. It is none, or an
-- index refuses it, when something speaks against it: only `commit` tells what.
WITH appended AS (
  INSERT INTO cqrs.events (position, version, recorded_at, id, schema_version, tenant, category, stream, type,
    metadata, data, content_type, bytes)
  SELECT nextval('cqrs.positions'), $6 + 1, cqrs.tick(), $9, $8, $3, $4, $5, $7, $10, $11, $12, $13
  FROM (
    SELECT pg_advisory_xact_lock(1668379251, 'cqrs.log'::regclass::oid::bigint::bit(32)::integer) OFFSET 0
  ) AS turn
  WHERE $6 = coalesce((
    SELECT e.version FROM cqrs.events AS e
    WHERE e.stream = $5 AND e.category = $4 AND e.tenant = $3
    ORDER BY e.version DESC LIMIT 1
  ), 0)
  RETURNING position, recorded_at
)
INSERT INTO cqrs.commits (id, fingerprint, position, at)
SELECT $1, $2, a.position, a.recorded_at FROM appended AS a
RETURNING position - 1
