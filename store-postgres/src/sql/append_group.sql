-- Commits that only append, at versions that are known: one row when all of them are applied. It is none, or an
-- index refuses them, when something speaks against one: only `commit` tells what.
WITH turn AS MATERIALIZED (
  SELECT t.last - $1 AS base, t.at
  FROM (
    SELECT CASE $1 WHEN 1 THEN nextval('cqrs.positions')
        ELSE setval('cqrs.positions', nextval('cqrs.positions') + $1 - 1) END AS last,
      cqrs.tick() AS at
    FROM (
      SELECT pg_advisory_xact_lock(1668379251, 'cqrs.log'::regclass::oid::bigint::bit(32)::integer) OFFSET 0
    ) AS lock
    WHERE NOT EXISTS (
      SELECT FROM (
        SELECT unnest($5) AS tenant, unnest($6) AS category, unnest($7) AS stream, unnest($8) AS expected
      ) AS a
      LEFT JOIN LATERAL (
        SELECT e.version FROM cqrs.events AS e
        WHERE e.stream = a.stream AND e.category = a.category AND e.tenant = a.tenant
        ORDER BY e.version DESC LIMIT 1
      ) AS v ON true
      WHERE coalesce(v.version, 0) <> a.expected)
    OFFSET 0
  ) AS t
), appended AS (
  INSERT INTO cqrs.events (position, version, recorded_at, id, schema_version, tenant, category, stream, type,
    metadata, data, content_type, bytes)
  SELECT t.base + e.place, e.version, t.at, e.id, e.schema_version, e.tenant, e.category, e.stream, e.type,
    e.metadata, e.data, e.content_type, e.bytes
  FROM turn AS t, (
    SELECT generate_series(1, $1) AS place, unnest($9) AS version, unnest($10) AS tenant,
      unnest($11) AS category, unnest($12) AS stream, unnest($13) AS type, unnest($14) AS schema_version,
      unnest($15) AS id, unnest($16) AS metadata, unnest($17) AS data, unnest($18) AS content_type,
      unnest($19) AS bytes
  ) AS e
), committed AS (
  INSERT INTO cqrs.commits (id, fingerprint, position, at)
  SELECT c.id, c.fingerprint, t.base + c.last, t.at
  FROM turn AS t, (
    SELECT unnest($2) AS id, unnest($3) AS fingerprint, unnest($4) AS last
  ) AS c
)
SELECT base FROM turn
