-- What the events of a stream came to, so that a load need not fold them all: derived data, which
-- may be deleted at any time. With row ids, because a body may be large.
CREATE TABLE snapshot_rows (
  tenant TEXT NOT NULL,
  category TEXT NOT NULL,
  stream TEXT NOT NULL,
  schema_bytes BLOB NOT NULL,
  version INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, category, stream, schema_bytes)
) STRICT;

CREATE VIEW snapshots AS
SELECT tenant, category, stream, lower(hex(schema_bytes)) AS schema, version, body
FROM snapshot_rows;
