SELECT s.version, s.body FROM snapshot_rows AS s
WHERE s.tenant = ?1 AND s.category = ?2 AND s.stream = ?3 AND s.schema_bytes = ?4
  AND s.version BETWEEN ?5 AND ?6
  AND EXISTS (
    SELECT 1 FROM event_rows AS e
    WHERE e.tenant = s.tenant AND e.category = s.category AND e.stream = s.stream
      AND e.version = s.version)
