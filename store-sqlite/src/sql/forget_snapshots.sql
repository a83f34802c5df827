DELETE FROM snapshot_rows WHERE tenant = ?1 AND category = ?2 AND stream = ?3
