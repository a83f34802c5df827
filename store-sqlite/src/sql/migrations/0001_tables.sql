-- One row: which log this is, its last position and its last time. Positions are counted here and
-- not taken from `event_rows`, so that none is given twice when rows were deleted.
CREATE TABLE log (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL,
  head INTEGER NOT NULL,
  recorded_us INTEGER NOT NULL
) STRICT;

-- A body is in `data` (JSON), or in `content_type` and `bytes`; an erased event has neither.
-- The tenant '' is none. Ids are 16 bytes and times microseconds since 1970; the views at the end
-- show both as texts. (Generated columns would be computed at every insert, read or not.)
CREATE TABLE event_rows (
  position INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  category TEXT NOT NULL,
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  schema_version INTEGER NOT NULL,
  id_bytes BLOB NOT NULL,
  recorded_us INTEGER NOT NULL,
  tags TEXT,
  metadata TEXT NOT NULL,
  data TEXT,
  content_type TEXT,
  bytes BLOB,
  UNIQUE (id_bytes),
  UNIQUE (tenant, category, stream, version)
) STRICT;

CREATE TABLE event_tags (
  tag TEXT NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (tag, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE commit_rows (
  id_bytes BLOB PRIMARY KEY,
  fingerprint BLOB NOT NULL,
  position INTEGER NOT NULL,
  at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- With row ids, because a stored reply may be large.
CREATE TABLE inbox_rows (
  consumer TEXT NOT NULL,
  message_bytes BLOB NOT NULL,
  fingerprint BLOB NOT NULL,
  position INTEGER NOT NULL,
  reply BLOB,
  PRIMARY KEY (consumer, message_bytes)
) STRICT;

CREATE TABLE checkpoints (
  subscription TEXT NOT NULL,
  partition INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (subscription, partition)
) STRICT, WITHOUT ROWID;

-- `fields` is a JSON list of {"name": …, "unique": …}.
CREATE TABLE collections (
  name TEXT PRIMARY KEY,
  fields TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A deleted document keeps its version, without a body.
CREATE TABLE documents (
  tenant TEXT NOT NULL,
  collection TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  body TEXT,
  PRIMARY KEY (tenant, collection, id)
) STRICT;

-- `value` keeps its type: a text is TEXT, a whole number INTEGER, a boolean the BLOB `true` or
-- `false`, so that none of 1, '1' and true is another.
CREATE TABLE document_fields (
  tenant TEXT NOT NULL,
  collection TEXT NOT NULL,
  field TEXT NOT NULL,
  value ANY NOT NULL,
  id TEXT NOT NULL,
  is_unique INTEGER NOT NULL,
  PRIMARY KEY (tenant, collection, field, value, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX document_fields_unique
  ON document_fields (tenant, collection, field, value) WHERE is_unique = 1;

CREATE INDEX document_fields_of ON document_fields (tenant, collection, id);

-- For people: `SELECT position, stream, version, type, id, recorded_at, data FROM events`.
CREATE VIEW events AS
SELECT position, tenant, category, stream, version, type, schema_version,
  lower(
    hex(substr(id_bytes, 1, 4)) || '-' || hex(substr(id_bytes, 5, 2)) || '-'
    || hex(substr(id_bytes, 7, 2)) || '-' || hex(substr(id_bytes, 9, 2)) || '-'
    || hex(substr(id_bytes, 11, 6))) AS id,
  strftime('%Y-%m-%dT%H:%M:%S',
    (recorded_us - (recorded_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (recorded_us % 1000000 + 1000000) % 1000000) AS recorded_at,
  tags, metadata, data, content_type, bytes
FROM event_rows;

CREATE VIEW commits AS
SELECT
  lower(
    hex(substr(id_bytes, 1, 4)) || '-' || hex(substr(id_bytes, 5, 2)) || '-'
    || hex(substr(id_bytes, 7, 2)) || '-' || hex(substr(id_bytes, 9, 2)) || '-'
    || hex(substr(id_bytes, 11, 6))) AS id,
  position,
  strftime('%Y-%m-%dT%H:%M:%S',
    (at_us - (at_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (at_us % 1000000 + 1000000) % 1000000) AS committed_at
FROM commit_rows;

CREATE VIEW inbox AS
SELECT consumer,
  lower(
    hex(substr(message_bytes, 1, 4)) || '-' || hex(substr(message_bytes, 5, 2)) || '-'
    || hex(substr(message_bytes, 7, 2)) || '-' || hex(substr(message_bytes, 9, 2)) || '-'
    || hex(substr(message_bytes, 11, 6))) AS message,
  position, reply
FROM inbox_rows;
