INSERT INTO outgoing_rows (
  position, id_bytes, kind, name, key, tenant, recorded_us, not_before_us, metadata,
  data, content_type, bytes, answer_to, tries)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
