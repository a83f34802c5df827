-- Messages to send. They are counted with the events (`log.head`), and a settled one is gone. A body
-- is in `data` (JSON), or in `content_type` and `bytes`; an erased one has neither. `answer_to` is
-- {"saga": …, "key": …, "step": …}. `tries` is NULL for the relay's policy and -1 for no end.
CREATE TABLE outgoing_rows (
  position INTEGER PRIMARY KEY,
  id_bytes BLOB NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  key TEXT NOT NULL,
  tenant TEXT NOT NULL,
  recorded_us INTEGER NOT NULL,
  not_before_us INTEGER,
  metadata TEXT NOT NULL,
  data TEXT,
  content_type TEXT,
  bytes BLOB,
  answer_to TEXT,
  tries INTEGER,
  UNIQUE (id_bytes)
) STRICT;

CREATE TABLE timer_rows (
  owner TEXT NOT NULL,
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  generation INTEGER NOT NULL,
  due_us INTEGER NOT NULL,
  PRIMARY KEY (owner, tenant, key, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX timer_rows_due ON timer_rows (owner, due_us, tenant, key, name);

-- What is set aside. With row ids, because an edited body may be large. `is_edited` tells that the
-- last three columns are in the place of the body, as those of an event.
CREATE TABLE parked_rows (
  subscription TEXT NOT NULL,
  position INTEGER NOT NULL,
  version INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  key TEXT NOT NULL,
  message TEXT NOT NULL,
  state TEXT NOT NULL,
  due_us INTEGER,
  cause TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  since_us INTEGER NOT NULL,
  is_edited INTEGER NOT NULL,
  data TEXT,
  content_type TEXT,
  bytes BLOB,
  PRIMARY KEY (subscription, position, key)
) STRICT;

CREATE INDEX parked_rows_key ON parked_rows (key, subscription, position);
CREATE INDEX parked_rows_state ON parked_rows (state, subscription, position, key);
CREATE INDEX parked_rows_due ON parked_rows (subscription, position, key, due_us)
  WHERE due_us IS NOT NULL;

-- A released lease is nobody's: its holder is ''. `is_backed`: as long as its holder lives, it keeps
-- a lock on a file beside this one, so that its death is known at once.
CREATE TABLE lease_rows (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  token INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  is_backed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX lease_rows_holder ON lease_rows (holder);

-- When a message was handled. NULL, from a program that does not know the column yet: it is kept.
ALTER TABLE inbox_rows ADD COLUMN at_us INTEGER;
UPDATE inbox_rows SET at_us = unixepoch() * 1000000;

-- To find the documents of a collection, whoever's they are.
CREATE INDEX documents_of ON documents (collection, tenant, id);

CREATE VIEW outgoing AS
SELECT position, kind, name, key, nullif(tenant, '') AS tenant,
  lower(
    hex(substr(id_bytes, 1, 4)) || '-' || hex(substr(id_bytes, 5, 2)) || '-'
    || hex(substr(id_bytes, 7, 2)) || '-' || hex(substr(id_bytes, 9, 2)) || '-'
    || hex(substr(id_bytes, 11, 6))) AS id,
  strftime('%Y-%m-%dT%H:%M:%S',
    (recorded_us - (recorded_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (recorded_us % 1000000 + 1000000) % 1000000) AS recorded_at,
  strftime('%Y-%m-%dT%H:%M:%S',
    (not_before_us - (not_before_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (not_before_us % 1000000 + 1000000) % 1000000) AS not_before,
  answer_to,
  CASE WHEN tries IS NULL THEN 'policy' WHEN tries < 0 THEN 'until answered' ELSE tries END AS tries,
  metadata, data, content_type, bytes
FROM outgoing_rows;

CREATE VIEW timers AS
SELECT owner, nullif(tenant, '') AS tenant, key, name, generation,
  strftime('%Y-%m-%dT%H:%M:%S',
    (due_us - (due_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (due_us % 1000000 + 1000000) % 1000000) AS due
FROM timer_rows;

CREATE VIEW parked AS
SELECT subscription, position, version, partition, key, message, state,
  strftime('%Y-%m-%dT%H:%M:%S',
    (due_us - (due_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (due_us % 1000000 + 1000000) % 1000000) AS due,
  cause, attempts,
  strftime('%Y-%m-%dT%H:%M:%S',
    (since_us - (since_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (since_us % 1000000 + 1000000) % 1000000) AS since,
  is_edited, data, content_type, bytes
FROM parked_rows;

CREATE VIEW leases AS
SELECT name, nullif(holder, '') AS holder, token,
  strftime('%Y-%m-%dT%H:%M:%S',
    (until_us - (until_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (until_us % 1000000 + 1000000) % 1000000) AS until,
  is_backed
FROM lease_rows;

DROP VIEW inbox;
CREATE VIEW inbox AS
SELECT consumer,
  lower(
    hex(substr(message_bytes, 1, 4)) || '-' || hex(substr(message_bytes, 5, 2)) || '-'
    || hex(substr(message_bytes, 7, 2)) || '-' || hex(substr(message_bytes, 9, 2)) || '-'
    || hex(substr(message_bytes, 11, 6))) AS message,
  position,
  strftime('%Y-%m-%dT%H:%M:%S',
    (at_us - (at_us % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (at_us % 1000000 + 1000000) % 1000000) AS handled_at,
  reply
FROM inbox_rows;
