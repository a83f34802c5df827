DELETE FROM snapshot_rows
WHERE tenant = ?1 AND category = ?2 AND stream = ?3
  AND schema_bytes NOT IN (
    SELECT schema_bytes FROM snapshot_rows
    WHERE tenant = ?1 AND category = ?2 AND stream = ?3
    ORDER BY version DESC LIMIT 2)
