-- Commits that only append, at versions that are known: one row when all of them are applied. It is none, or an
-- index refuses them, when something speaks against one: only `commit` tells what. $3 to $5 and
-- $23 are of those that no event tells of.
WITH turn AS MATERIALIZED (
  SELECT t.last - $1 AS base, t.at
  FROM (
    SELECT CASE $1 WHEN 1 THEN nextval('cqrs.positions')
        ELSE setval('cqrs.positions', nextval('cqrs.positions') + $1 - 1) END AS last,
      cqrs.tick() AS at
    FROM (
      SELECT cqrs.take_turn_1($2, $23) AS is_new OFFSET 0
    ) AS lock
    WHERE lock.is_new AND NOT EXISTS (
      SELECT FROM (
        SELECT unnest($6) AS tenant, unnest($7) AS category, unnest($8) AS stream, unnest($9) AS expected
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
    metadata, data, content_type, bytes, fingerprint, places)
  SELECT t.base + e.place, e.version, t.at, e.id, e.schema_version, e.tenant, e.category, e.stream, e.type,
    e.metadata, e.data, e.content_type, e.bytes, e.fingerprint, e.places
  FROM turn AS t, (
    SELECT generate_series(1, $1) AS place, unnest($10) AS version, unnest($11) AS tenant,
      unnest($12) AS category, unnest($13) AS stream, unnest($14) AS type, unnest($15) AS schema_version,
      unnest($16) AS id, unnest($17) AS metadata, unnest($18) AS data, unnest($19) AS content_type,
      unnest($20) AS bytes, unnest($21) AS fingerprint, unnest($22) AS places
  ) AS e
), committed AS (
  INSERT INTO cqrs.commits (id, fingerprint, position, at)
  SELECT c.id, c.fingerprint, t.base + c.last, t.at
  FROM turn AS t, (
    SELECT unnest($3) AS id, unnest($4) AS fingerprint, unnest($5) AS last
  ) AS c
)
SELECT base FROM turn
