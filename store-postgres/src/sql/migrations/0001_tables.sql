-- Names are compared by their bytes, whatever the locale of the database. The tenant '' is none.

-- One row: which log this is, and where it was written last (see `cqrs.note_restore`).
CREATE TABLE cqrs.log (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  place text NOT NULL
);

-- The last position that was given out. It is not taken from `events`, so that none is given twice
-- when rows were deleted, and it is seen in every isolation level.
CREATE SEQUENCE cqrs.positions AS bigint;

-- The last time that was given to something in the log, in microseconds since 1970.
CREATE SEQUENCE cqrs.clock AS bigint;

-- A body is in `data` (JSON), or in `content_type` and `bytes`; an erased event has neither. The first
-- event of a commit has what tells a repeat of that, if the id of the one is derived from that of the other:
-- its fingerprint, and how many positions it took. An erased one keeps them.
CREATE TABLE cqrs.events (
  position bigint PRIMARY KEY,
  version bigint NOT NULL,
  recorded_at timestamptz NOT NULL,
  id uuid NOT NULL,
  schema_version integer NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  category text COLLATE "C" NOT NULL,
  stream text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  tags text[],
  metadata json NOT NULL,
  data json,
  content_type text,
  bytes bytea,
  fingerprint bytea,
  places integer
);

CREATE UNIQUE INDEX events_of_stream ON cqrs.events (stream, category, tenant, version);
CREATE UNIQUE INDEX events_by_id ON cqrs.events (id);
CREATE INDEX events_of_type ON cqrs.events (type, position);
CREATE INDEX events_of_category ON cqrs.events (category, position);

CREATE TABLE cqrs.event_tags (
  tag text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (tag, position)
);

-- Positions that were given to messages: a settled message is gone, and the log still reaches so far.
CREATE TABLE cqrs.heads (position bigint PRIMARY KEY);

-- Commits that no event tells of.
CREATE TABLE cqrs.commits (
  id uuid PRIMARY KEY,
  fingerprint bytea NOT NULL,
  position bigint NOT NULL,
  at timestamptz NOT NULL
);

CREATE TABLE cqrs.inbox (
  consumer text COLLATE "C" NOT NULL,
  message uuid NOT NULL,
  fingerprint bytea NOT NULL,
  position bigint NOT NULL,
  at timestamptz NOT NULL,
  reply bytea,
  PRIMARY KEY (consumer, message)
);

CREATE TABLE cqrs.checkpoints (
  subscription text COLLATE "C" NOT NULL,
  partition bigint NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (subscription, partition)
) WITH (fillfactor = 50);

-- What the events of a stream came to: derived data, which may be deleted at any time.
CREATE TABLE cqrs.snapshots (
  stream text COLLATE "C" NOT NULL,
  category text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  schema bytea NOT NULL,
  version bigint NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (stream, category, tenant, schema)
);

-- `fields` is a JSON list of {"name": …, "unique": …}.
CREATE TABLE cqrs.collections (
  name text COLLATE "C" PRIMARY KEY,
  fields text NOT NULL
);

-- A deleted document keeps its version, without a body.
CREATE TABLE cqrs.documents (
  collection text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  body json,
  PRIMARY KEY (collection, tenant, id)
) WITH (fillfactor = 80);

-- A value begins with the letter of its type: t for a text, i for a whole number, b for a boolean; a
-- long text is d and its digest (SHA-256).
CREATE TABLE cqrs.document_fields (
  collection text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  field text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  is_unique boolean NOT NULL,
  PRIMARY KEY (collection, tenant, field, value, id)
);

CREATE UNIQUE INDEX document_fields_unique
  ON cqrs.document_fields (collection, tenant, field, value) WHERE is_unique;
CREATE INDEX document_fields_of ON cqrs.document_fields (collection, tenant, id);

-- Messages to send. They have positions in the log, and a settled one is gone. `tries` is NULL for the
-- relay's policy and -1 for no end.
CREATE TABLE cqrs.outgoing (
  position bigint PRIMARY KEY,
  recorded_at timestamptz NOT NULL,
  not_before timestamptz,
  id uuid NOT NULL,
  tries bigint,
  kind text NOT NULL,
  name text NOT NULL,
  key text NOT NULL,
  tenant text NOT NULL,
  metadata json NOT NULL,
  data json,
  content_type text,
  bytes bytea,
  answer_to json
);

CREATE UNIQUE INDEX outgoing_by_id ON cqrs.outgoing (id);

CREATE TABLE cqrs.timers (
  owner text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  due timestamptz NOT NULL,
  PRIMARY KEY (owner, tenant, key, name)
);

CREATE INDEX timers_due ON cqrs.timers (owner, due, tenant, key, name);

-- What is set aside. `is_edited` tells that the last three columns are in the place of the body, as
-- those of an event.
CREATE TABLE cqrs.parked (
  subscription text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  partition bigint NOT NULL,
  message text NOT NULL,
  state text COLLATE "C" NOT NULL,
  due timestamptz,
  cause text NOT NULL,
  attempts bigint NOT NULL,
  since timestamptz NOT NULL,
  is_edited boolean NOT NULL,
  data json,
  content_type text,
  bytes bytea,
  PRIMARY KEY (subscription, position, key)
) WITH (fillfactor = 80);

CREATE INDEX parked_of_key ON cqrs.parked (key, subscription, position);
CREATE INDEX parked_in_state ON cqrs.parked (state, subscription, position, key);
CREATE INDEX parked_due ON cqrs.parked (subscription, position, key) WHERE due IS NOT NULL;

-- A released lease is nobody's: its holder is ''. The last two columns name a process of the server, one
-- whose connection the holder keeps for as long as it lives; NULL: only the term tells of its death.
CREATE TABLE cqrs.leases (
  name text COLLATE "C" PRIMARY KEY,
  holder text COLLATE "C" NOT NULL,
  token bigint NOT NULL,
  until timestamptz NOT NULL,
  pid integer,
  since timestamptz
) WITH (fillfactor = 50);
