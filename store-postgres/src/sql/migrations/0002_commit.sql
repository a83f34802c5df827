-- Writes commits in one statement: whoever asked may die or be stopped meanwhile, and holds up nobody.
-- What it takes is numbered, so that a node with an older program goes on beside a newer one.

-- Microseconds since 1970 as a time.
CREATE FUNCTION cqrs.at(us bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN us <= -210866803200000000 THEN '-infinity'::timestamptz
    WHEN us >= 9222425352054775807 THEN 'infinity'::timestamptz
    ELSE 'epoch'::timestamptz
      + (us / 1000000) * interval '1 second' + (us % 1000000) * interval '1 microsecond'
  END
$$;

-- The time for what is written next, by whoever has the turn: the clock of the server may step back, the
-- times of the log do not. It is short enough for the planner to put it in the place of the call.
CREATE FUNCTION cqrs.tick() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT 'epoch'::timestamptz + interval '1 microsecond' * setval('cqrs.clock', greatest(
    pg_sequence_last_value('cqrs.clock'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint))
$$;

-- The end of the log, as far as the transaction sees it.
CREATE FUNCTION cqrs.head() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT greatest(
    (SELECT position FROM cqrs.events ORDER BY position DESC LIMIT 1),
    (SELECT position FROM cqrs.heads ORDER BY position DESC LIMIT 1),
    0)
$$;

-- Whoever holds this lock is the only one who writes: positions are given out in the order in which
-- commits are seen. It is taken before any statement looks at a table, so that what was written before is
-- seen. Another one waits no longer than it may. An assignment costs far less than a statement.
CREATE FUNCTION cqrs.take_turn(wait text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  ignored text;
BEGIN
  ignored := set_config('lock_timeout', wait, true);
  IF current_setting('synchronous_commit') = 'off' THEN
    ignored := set_config('synchronous_commit', 'on', true);
  END IF;
  ignored := pg_advisory_xact_lock(1668379251, 'cqrs.log'::regclass::oid::bigint::bit(32)::integer);
END
$$;

-- Takes the turn, and tells whether none of the commits is in `commits`, and none of the events is there. A
-- statement sees what was there before it waited; a function looks anew.
CREATE FUNCTION cqrs.take_turn_1(ids uuid[], firsts uuid[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  ignored text;
BEGIN
  ignored := pg_advisory_xact_lock(1668379251, 'cqrs.log'::regclass::oid::bigint::bit(32)::integer);
  RETURN NOT EXISTS (
    SELECT FROM (SELECT unnest(ids) AS id) AS c
    CROSS JOIN LATERAL (SELECT FROM cqrs.commits AS x WHERE x.id = c.id LIMIT 1) AS k)
    AND (firsts IS NULL OR NOT EXISTS (
      SELECT FROM (SELECT unnest(firsts) AS id) AS c
      CROSS JOIN LATERAL (SELECT FROM cqrs.events AS x WHERE x.id = c.id LIMIT 1) AS k));
END
$$;

-- What speaks against commits of a group beside their ids, streams and events: the first reason for
-- each. `others` has a list for each kind of part, and `c` counts the commits from 1.
CREATE FUNCTION cqrs.refused(others json, log_head bigint)
RETURNS TABLE (c integer, verdict json) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  g record;
  found bigint;
BEGIN
  IF others->'fences' IS NOT NULL THEN
    RETURN QUERY
      SELECT f.c, json_build_object('n', f.c, 'is', 'lease', 'lease', f.lease, 'token', f.token,
        'actual', coalesce(l.token, 0))
      FROM json_to_recordset(others->'fences') AS f(c integer, lease text, token bigint)
      LEFT JOIN LATERAL (
        SELECT x.token FROM cqrs.leases AS x WHERE x.name = f.lease LIMIT 1
      ) AS l ON true
      WHERE coalesce(l.token, 0) <> f.token;
  END IF;
  IF others->'documents' IS NOT NULL OR others->'document_guards' IS NOT NULL THEN
    RETURN QUERY
      SELECT w.c, json_build_object('n', w.c, 'is', 'document', 'collection', w.collection,
        'id', w.id, 'actual', coalesce(d.version, 0))
      FROM (
        SELECT * FROM json_to_recordset(others->'documents')
          AS x(c integer, tenant text, collection text, id text, expected bigint)
        UNION ALL
        SELECT * FROM json_to_recordset(others->'document_guards')
          AS x(c integer, tenant text, collection text, id text, expected bigint)
      ) AS w
      LEFT JOIN LATERAL (
        SELECT x.version FROM cqrs.documents AS x
        WHERE x.collection = w.collection AND x.tenant = w.tenant AND x.id = w.id
          AND x.body IS NOT NULL
        LIMIT 1
      ) AS d ON true
      WHERE CASE w.expected
        WHEN -1 THEN false
        WHEN -2 THEN d.version IS NULL
        ELSE coalesce(d.version, 0) <> w.expected
      END;
  END IF;
  IF others->'stream_guards' IS NOT NULL THEN
    RETURN QUERY
      SELECT w.c, json_build_object('n', w.c, 'is', 'stream', 'tenant', w.tenant,
        'category', w.category, 'stream', w.stream, 'actual', coalesce(v.version, 0))
      FROM json_to_recordset(others->'stream_guards')
        AS w(c integer, tenant text, category text, stream text, expected bigint)
      LEFT JOIN LATERAL (
        SELECT e.version FROM cqrs.events AS e
        WHERE e.stream = w.stream AND e.category = w.category AND e.tenant = w.tenant
        ORDER BY e.version DESC LIMIT 1
      ) AS v ON true
      WHERE CASE w.expected
        WHEN -1 THEN false
        WHEN -2 THEN v.version IS NULL
        ELSE coalesce(v.version, 0) <> w.expected
      END;
  END IF;
  IF others->'none_matching' IS NOT NULL THEN
    FOR g IN
      SELECT x.c, x.after, x.filter
      FROM json_to_recordset(others->'none_matching') AS x(c integer, after bigint, filter json)
    LOOP
      IF g.after > log_head THEN
        RETURN QUERY SELECT g.c, json_build_object('n', g.c, 'is', 'beyond', 'after', g.after,
          'head', log_head, 'log', (SELECT id FROM cqrs.log));
        CONTINUE;
      END IF;
      found := cqrs.first_matching(g.filter, g.after, log_head);
      IF found IS NOT NULL THEN
        RETURN QUERY SELECT g.c, json_build_object('n', g.c, 'is', 'matching', 'after', g.after,
          'found', found);
      END IF;
    END LOOP;
  END IF;
  IF others->'checkpoints' IS NOT NULL THEN
    RETURN QUERY
      SELECT w.c, CASE
        WHEN w.till > log_head THEN json_build_object('n', w.c, 'is', 'beyond', 'after', w.till,
          'head', log_head, 'log', (SELECT id FROM cqrs.log))
        ELSE json_build_object('n', w.c, 'is', 'checkpoint', 'subscription', w.subscription,
          'partition', w.partition, 'actual', coalesce(k.position, 0))
      END
      FROM json_to_recordset(others->'checkpoints')
        AS w(c integer, subscription text, partition bigint, since bigint, till bigint)
      LEFT JOIN LATERAL (
        SELECT x.position FROM cqrs.checkpoints AS x
        WHERE x.subscription = w.subscription AND x.partition = w.partition LIMIT 1
      ) AS k ON true
      WHERE w.till > log_head OR coalesce(k.position, 0) <> w.since;
  END IF;
  IF others->'outgoing' IS NOT NULL THEN
    RETURN QUERY
      SELECT w.c, json_build_object('n', w.c, 'is', 'reused', 'what', 'message', 'id', w.id)
      FROM json_to_recordset(others->'outgoing') AS w(c integer, id uuid)
      CROSS JOIN LATERAL (SELECT FROM cqrs.outgoing AS x WHERE x.id = w.id LIMIT 1) AS o;
  END IF;
  IF others->'settled' IS NOT NULL THEN
    RETURN QUERY
      SELECT w.c, json_build_object('n', w.c, 'is', 'settled', 'what', w.what)
      FROM json_to_recordset(others->'settled') AS w(c integer, kind text, what text, id uuid,
        owner text, tenant text, key text, name text, generation bigint, position bigint)
      WHERE CASE w.kind
        WHEN 'outgoing' THEN NOT EXISTS (SELECT FROM cqrs.outgoing AS o WHERE o.id = w.id)
        WHEN 'timer' THEN NOT EXISTS (
          SELECT FROM cqrs.timers AS t
          WHERE t.owner = w.owner AND t.tenant = w.tenant AND t.key = w.key AND t.name = w.name
            AND t.generation = w.generation)
        ELSE NOT EXISTS (
          SELECT FROM cqrs.parked AS p
          WHERE p.subscription = w.owner AND p.position = w.position AND p.key = w.key)
      END;
  END IF;
  IF others->'timers' IS NOT NULL THEN
    RETURN QUERY
      SELECT w.c, json_build_object('n', w.c, 'is', 'timer', 'owner', w.owner, 'key', w.key,
        'name', w.name, 'actual', t.generation)
      FROM json_to_recordset(others->'timers')
        AS w(c integer, owner text, tenant text, key text, name text, generation bigint, due bigint)
      CROSS JOIN LATERAL (
        SELECT x.generation FROM cqrs.timers AS x
        WHERE x.owner = w.owner AND x.tenant = w.tenant AND x.key = w.key AND x.name = w.name
        LIMIT 1
      ) AS t
      WHERE CASE WHEN w.due IS NULL THEN w.generation < t.generation
        ELSE w.generation <= t.generation END;
  END IF;
  IF others->'parked' IS NOT NULL THEN
    RETURN QUERY
      SELECT w.c, json_build_object('n', w.c, 'is', 'parked', 'subscription', w.subscription,
        'position', w.position, 'actual', coalesce(p.version, 0))
      FROM json_to_recordset(others->'parked')
        AS w(c integer, subscription text, position bigint, key text, expected bigint)
      LEFT JOIN LATERAL (
        SELECT x.version FROM cqrs.parked AS x
        WHERE x.subscription = w.subscription AND x.position = w.position AND x.key = w.key
        LIMIT 1
      ) AS p ON true
      WHERE CASE w.expected
        WHEN -1 THEN false
        WHEN -2 THEN p.version IS NULL
        ELSE coalesce(p.version, 0) <> w.expected
      END;
  END IF;
  IF others->'fields' IS NOT NULL THEN
    -- What documents of the same commit held before does not count: values may be swapped.
    RETURN QUERY
      SELECT w.c, json_build_object('n', w.c, 'is', 'unique', 'collection', w.collection,
        'id', w.id, 'field', w.field)
      FROM json_to_recordset(others->'fields') AS w(c integer, tenant text, collection text,
        field text, value text, id text, is_unique boolean, twice boolean)
      WHERE w.is_unique AND (w.twice OR EXISTS (
        SELECT FROM cqrs.document_fields AS f
        WHERE f.collection = w.collection AND f.tenant = w.tenant AND f.field = w.field
          AND f.value = w.value AND f.is_unique
          AND NOT EXISTS (
            SELECT FROM json_to_recordset(others->'documents')
              AS d(c integer, tenant text, collection text, id text)
            WHERE d.c = w.c AND d.collection = f.collection AND d.tenant = f.tenant
              AND d.id = f.id)));
  END IF;
END
$$;

-- Writes the parts of commits beside events, ids and inbox. `applied` tells which commits are. Whatever
-- may hold an escaped NUL, which no function for JSON reads, is in `texts`, and named by its place.
CREATE FUNCTION cqrs.write_others(
  others json, texts text[], applied boolean[], base bigint, happened timestamptz)
RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  IF others->'documents' IS NOT NULL THEN
    IF (others->>'indexed')::boolean THEN
      DELETE FROM cqrs.document_fields AS f WHERE f.ctid = ANY (ARRAY(
        SELECT k.ctid
        FROM json_to_recordset(others->'documents')
          AS w(c integer, tenant text, collection text, id text)
        CROSS JOIN LATERAL (
          SELECT x.ctid FROM cqrs.document_fields AS x
          WHERE x.collection = w.collection AND x.tenant = w.tenant AND x.id = w.id OFFSET 0
        ) AS k
        WHERE applied[w.c]));
    END IF;
    INSERT INTO cqrs.documents AS d (collection, tenant, id, version, body)
    SELECT w.collection, w.tenant, w.id, 1, texts[w.body]::json
    FROM json_to_recordset(others->'documents')
      AS w(c integer, tenant text, collection text, id text, gone boolean, body integer)
    WHERE applied[w.c] AND w.gone IS NULL
    ON CONFLICT (collection, tenant, id)
      DO UPDATE SET version = d.version + 1, body = excluded.body;
    IF (others->>'deletes')::boolean THEN
      UPDATE cqrs.documents AS d SET version = d.version + 1, body = NULL WHERE d.ctid = ANY (ARRAY(
        SELECT k.ctid
        FROM json_to_recordset(others->'documents')
          AS w(c integer, tenant text, collection text, id text, gone boolean)
        CROSS JOIN LATERAL (
          SELECT x.ctid FROM cqrs.documents AS x
          WHERE x.collection = w.collection AND x.tenant = w.tenant AND x.id = w.id
            AND x.body IS NOT NULL
          LIMIT 1
        ) AS k
        WHERE applied[w.c] AND w.gone));
    END IF;
  END IF;
  IF others->'fields' IS NOT NULL THEN
    INSERT INTO cqrs.document_fields (collection, tenant, field, value, id, is_unique)
    SELECT w.collection, w.tenant, w.field, w.value, w.id, w.is_unique
    FROM json_to_recordset(others->'fields') AS w(c integer, tenant text, collection text,
      field text, value text, id text, is_unique boolean)
    WHERE applied[w.c];
  END IF;
  IF others->'settled' IS NOT NULL THEN
    DELETE FROM cqrs.outgoing AS o WHERE o.id = ANY (ARRAY(
      SELECT w.id FROM json_to_recordset(others->'settled') AS w(c integer, kind text, id uuid)
      WHERE applied[w.c] AND w.kind = 'outgoing'));
    DELETE FROM cqrs.timers AS t WHERE t.ctid = ANY (ARRAY(
      SELECT k.ctid
      FROM json_to_recordset(others->'settled')
        AS w(c integer, kind text, owner text, tenant text, key text, name text)
      CROSS JOIN LATERAL (
        SELECT x.ctid FROM cqrs.timers AS x
        WHERE x.owner = w.owner AND x.tenant = w.tenant AND x.key = w.key AND x.name = w.name
        LIMIT 1
      ) AS k
      WHERE applied[w.c] AND w.kind = 'timer'));
    DELETE FROM cqrs.parked AS p WHERE p.ctid = ANY (ARRAY(
      SELECT k.ctid
      FROM json_to_recordset(others->'settled')
        AS w(c integer, kind text, owner text, position bigint, key text)
      CROSS JOIN LATERAL (
        SELECT x.ctid FROM cqrs.parked AS x
        WHERE x.subscription = w.owner AND x.position = w.position AND x.key = w.key LIMIT 1
      ) AS k
      WHERE applied[w.c] AND w.kind = 'parked'));
  END IF;
  IF others->'outgoing' IS NOT NULL THEN
    INSERT INTO cqrs.outgoing (position, recorded_at, not_before, id, tries, kind, name, key, tenant,
      metadata, data, content_type, bytes, answer_to)
    SELECT base + w.place, happened, cqrs.at(w.not_before), w.id, w.tries, w.kind, w.name, w.key,
      w.tenant, texts[w.metadata]::json, texts[w.data]::json, w.content_type,
      decode(w.bytes, 'base64'), w.answer_to
    FROM json_to_recordset(others->'outgoing') AS w(c integer, place integer, not_before bigint,
      id uuid, tries bigint, kind text, name text, key text, tenant text, metadata integer,
      data integer, content_type text, bytes text, answer_to json)
    WHERE applied[w.c];
    INSERT INTO cqrs.heads (position)
    SELECT base + max(w.place)
    FROM json_to_recordset(others->'outgoing') AS w(c integer, place integer)
    WHERE applied[w.c] HAVING count(*) > 0;
  END IF;
  IF others->'timers' IS NOT NULL THEN
    INSERT INTO cqrs.timers (owner, tenant, key, name, generation, due)
    SELECT w.owner, w.tenant, w.key, w.name, w.generation, cqrs.at(w.due)
    FROM json_to_recordset(others->'timers')
      AS w(c integer, owner text, tenant text, key text, name text, generation bigint, due bigint)
    WHERE applied[w.c] AND w.due IS NOT NULL
    ON CONFLICT (owner, tenant, key, name)
      DO UPDATE SET generation = excluded.generation, due = excluded.due;
    DELETE FROM cqrs.timers AS t WHERE t.ctid = ANY (ARRAY(
      SELECT k.ctid
      FROM json_to_recordset(others->'timers')
        AS w(c integer, owner text, tenant text, key text, name text, due bigint)
      CROSS JOIN LATERAL (
        SELECT x.ctid FROM cqrs.timers AS x
        WHERE x.owner = w.owner AND x.tenant = w.tenant AND x.key = w.key AND x.name = w.name
        LIMIT 1
      ) AS k
      WHERE applied[w.c] AND w.due IS NULL));
  END IF;
  IF others->'parked' IS NOT NULL THEN
    INSERT INTO cqrs.parked AS p (subscription, position, key, version, partition, message, state,
      due, cause, attempts, since, is_edited, data, content_type, bytes)
    SELECT w.subscription, w.position, w.key, 1, w.partition, w.message, w.state, cqrs.at(w.due),
      w.cause, w.attempts, happened, w.is_edited, texts[w.data]::json, w.content_type,
      decode(w.bytes, 'base64')
    FROM json_to_recordset(others->'parked') AS w(c integer, subscription text, position bigint,
      key text, partition bigint, message text, state text, due bigint, cause text,
      attempts bigint, is_edited boolean, data integer, content_type text, bytes text)
    WHERE applied[w.c]
    ON CONFLICT (subscription, position, key) DO UPDATE SET
      version = p.version + 1, partition = excluded.partition, message = excluded.message,
      state = excluded.state, due = excluded.due, cause = excluded.cause,
      attempts = excluded.attempts, is_edited = excluded.is_edited, data = excluded.data,
      content_type = excluded.content_type, bytes = excluded.bytes;
  END IF;
  IF others->'snapshots' IS NOT NULL THEN
    INSERT INTO cqrs.snapshots (stream, category, tenant, schema, version, body)
    SELECT w.stream, w.category, w.tenant, decode(w.schema, 'hex'), w.version, texts[w.body]
    FROM json_to_recordset(others->'snapshots') AS w(c integer, tenant text, category text,
      stream text, schema text, version bigint, body integer)
    WHERE applied[w.c] AND w.body IS NOT NULL
    ON CONFLICT (stream, category, tenant, schema)
      DO UPDATE SET version = excluded.version, body = excluded.body;
    -- The newest two of a stream stay; of one that is forgotten, none.
    DELETE FROM cqrs.snapshots AS s
    USING json_to_recordset(others->'snapshots')
      AS w(c integer, tenant text, category text, stream text, body integer)
    WHERE applied[w.c] AND s.stream = w.stream AND s.category = w.category
      AND s.tenant = w.tenant AND (w.body IS NULL OR s.schema NOT IN (
        SELECT n.schema FROM cqrs.snapshots AS n
        WHERE n.stream = w.stream AND n.category = w.category AND n.tenant = w.tenant
        ORDER BY n.version DESC LIMIT 2));
  END IF;
  IF others->'checkpoints' IS NOT NULL THEN
    INSERT INTO cqrs.checkpoints (subscription, partition, position)
    SELECT w.subscription, w.partition, w.till
    FROM json_to_recordset(others->'checkpoints')
      AS w(c integer, subscription text, partition bigint, till bigint)
    WHERE applied[w.c]
    ON CONFLICT (subscription, partition) DO UPDATE SET position = excluded.position;
  END IF;
END
$$;

-- Applies a group of commits, each as a whole or not at all, that have nothing in common. Answers where
-- the group begins in the log, the head if somebody is there, and the verdicts on those that were not applied now; NULL: on
-- none. With `strict`, a verdict is raised instead (SQLSTATE CQ001, the verdict as its detail).
--
-- `firsts` are the ids that the first events of the commits have if they are derived from those of the
-- commits, and `by_event` tells which have them: they need no row in `commits`.
CREATE FUNCTION cqrs.commit_1(
  strict boolean, looks boolean, wait text, keep_commits interval, keep_inbox interval,
  places integer, ids uuid[], fingerprints bytea[], firsts uuid[], by_event boolean[], lasts integer[],
  append_commits integer[], append_tenants text[], append_categories text[],
  append_streams text[], append_expected bigint[],
  event_appends integer[], event_numbers integer[], event_places integer[],
  event_tenants text[], event_categories text[], event_streams text[], event_types text[],
  event_schemas integer[], event_ids uuid[], event_tags text[], event_metadata json[],
  event_data json[], event_content_types text[], event_bytes bytea[], event_fingerprints bytea[],
  event_spans integer[], inbox_commits integer[], inbox_consumers text[], inbox_messages uuid[],
  inbox_fingerprints bytea[], inbox_replies bytea[],
  collections json, others json, texts text[],
  OUT base bigint, OUT log_head bigint, OUT verdicts json)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  n integer := cardinality(ids);
  applied boolean[] := array_fill(true, ARRAY[n]);
  plain boolean;
  found json[];
  versions bigint[] := append_expected;
  holds boolean;
  r record;
  happened timestamptz;
  ignored text;
BEGIN
  -- In a transaction of the user's, whoever staged the commit has seen to that.
  IF NOT strict AND current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'commits need READ COMMITTED as the default isolation level of the database'
      USING ERRCODE = 'CQ003';
  END IF;
  ignored := cqrs.take_turn(wait);
  happened := cqrs.tick();

  -- Most commits are new, and say which version they expect. One look tells that nothing speaks against
  -- any of a group of them; lists are taken apart in the list of columns, which is the quickest way.
  SELECT NOT EXISTS (
      SELECT FROM (SELECT unnest(ids) AS id) AS c
      CROSS JOIN LATERAL (SELECT FROM cqrs.commits AS x WHERE x.id = c.id LIMIT 1) AS k)
    AND NOT EXISTS (
      SELECT FROM (SELECT unnest(firsts) AS id) AS c
      CROSS JOIN LATERAL (SELECT FROM cqrs.events AS x WHERE x.id = c.id LIMIT 1) AS k)
    AND NOT EXISTS (
      SELECT FROM (
        SELECT unnest(append_tenants) AS tenant, unnest(append_categories) AS category,
          unnest(append_streams) AS stream, unnest(append_expected) AS expected) AS a
      LEFT JOIN LATERAL (
        SELECT e.version FROM cqrs.events AS e
        WHERE e.stream = a.stream AND e.category = a.category AND e.tenant = a.tenant
        ORDER BY e.version DESC LIMIT 1
      ) AS v ON true
      WHERE coalesce(v.version, 0) <> a.expected)
  INTO plain;
  IF inbox_commits IS NOT NULL THEN
    plain := plain AND NOT EXISTS (
      SELECT FROM unnest(inbox_consumers, inbox_messages) AS i(consumer, message)
      CROSS JOIN LATERAL (
        SELECT FROM cqrs.inbox AS x
        WHERE x.consumer = i.consumer AND x.message = i.message LIMIT 1
      ) AS k);
  END IF;

  IF NOT plain THEN
    IF inbox_commits IS NOT NULL THEN
      FOR r IN
        SELECT i.c, count(*) AS marks, count(k.position) AS known,
          min(i.n) FILTER (WHERE k.fingerprint <> i.fingerprint) AS wrong,
          min(i.n) FILTER (WHERE k.position IS NOT NULL) AS first
        FROM unnest(inbox_commits, inbox_consumers, inbox_messages, inbox_fingerprints)
          WITH ORDINALITY AS i(c, consumer, message, fingerprint, n)
        LEFT JOIN LATERAL (
          SELECT x.fingerprint, x.position FROM cqrs.inbox AS x
          WHERE x.consumer = i.consumer AND x.message = i.message
            AND x.at >= happened - keep_inbox
          LIMIT 1
        ) AS k ON true
        GROUP BY i.c HAVING count(k.position) > 0
      LOOP
        found[r.c] := CASE
          WHEN r.wrong IS NOT NULL THEN json_build_object('n', r.c, 'is', 'reused',
            'what', 'message', 'id', inbox_messages[r.wrong])
          WHEN r.known < r.marks THEN json_build_object('n', r.c, 'is', 'inbox',
            'consumer', inbox_consumers[r.first], 'message', inbox_messages[r.first])
          ELSE (
            SELECT json_build_object('n', r.c, 'is', 'before', 'position', k.position,
              'reply', translate(encode(k.reply, 'base64'), E'\n', ''))
            FROM cqrs.inbox AS k
            WHERE k.consumer = inbox_consumers[r.first] AND k.message = inbox_messages[r.first])
        END;
      END LOOP;
    END IF;

    FOR r IN
      SELECT c.n, k.fingerprint = c.fingerprint AS same, k.position, c.id
      FROM unnest(ids, fingerprints, firsts) WITH ORDINALITY AS c(id, fingerprint, first, n)
      CROSS JOIN LATERAL (
        SELECT x.fingerprint, x.position FROM cqrs.commits AS x
        WHERE x.id = c.id AND x.at >= happened - keep_commits
        UNION ALL
        SELECT x.fingerprint, x.position + x.places - 1 FROM cqrs.events AS x
        WHERE x.id = c.first AND x.fingerprint IS NOT NULL
        LIMIT 1
      ) AS k
    LOOP
      IF found[r.n] IS NULL THEN
        found[r.n] := CASE r.same
          WHEN true THEN json_build_object('n', r.n, 'is', 'before', 'position', r.position)
          ELSE json_build_object('n', r.n, 'is', 'reused', 'what', 'commit', 'id', r.id)
        END;
      END IF;
    END LOOP;

    -- Those that are past their time.
    DELETE FROM cqrs.commits AS c WHERE c.id = ANY (ids) AND c.at < happened - keep_commits;

    IF append_commits IS NOT NULL THEN
      SELECT array_agg(coalesce(v.version, 0) ORDER BY a.n), bool_and(CASE a.expected
          WHEN -1 THEN true
          WHEN -2 THEN v.version IS NOT NULL
          ELSE coalesce(v.version, 0) = a.expected
        END)
      INTO versions, holds
      FROM unnest(append_tenants, append_categories, append_streams, append_expected)
        WITH ORDINALITY AS a(tenant, category, stream, expected, n)
      LEFT JOIN LATERAL (
        SELECT e.version FROM cqrs.events AS e
        WHERE e.stream = a.stream AND e.category = a.category AND e.tenant = a.tenant
        ORDER BY e.version DESC LIMIT 1
      ) AS v ON true;
      IF NOT holds THEN
        FOR r IN
          SELECT a.c, a.tenant, a.category, a.stream, versions[a.n] AS actual
          FROM unnest(append_commits, append_tenants, append_categories, append_streams,
            append_expected) WITH ORDINALITY AS a(c, tenant, category, stream, expected, n)
          WHERE CASE a.expected
            WHEN -1 THEN false
            WHEN -2 THEN versions[a.n] = 0
            ELSE versions[a.n] <> a.expected
          END
          ORDER BY a.n
        LOOP
          IF found[r.c] IS NULL THEN
            found[r.c] := json_build_object('n', r.c, 'is', 'stream', 'tenant', r.tenant,
              'category', r.category, 'stream', r.stream, 'actual', r.actual);
          END IF;
        END LOOP;
      END IF;
    END IF;
  END IF;

  IF looks THEN
    FOR r IN
      SELECT append_commits[e.a] AS c, e.id
      FROM unnest(event_appends, event_ids) AS e(a, id)
      CROSS JOIN LATERAL (SELECT FROM cqrs.events AS x WHERE x.id = e.id LIMIT 1) AS k
    LOOP
      IF found[r.c] IS NULL THEN
        found[r.c] := json_build_object('n', r.c, 'is', 'reused', 'what', 'event', 'id', r.id);
      END IF;
    END LOOP;
  END IF;

  -- Where nothing was appended, a commit is at the end of the log.
  IF others IS NOT NULL OR NOT plain OR 0 = ANY (lasts) THEN
    log_head := greatest(
      (SELECT position FROM cqrs.events ORDER BY position DESC LIMIT 1),
      (SELECT position FROM cqrs.heads ORDER BY position DESC LIMIT 1),
      0);
  END IF;
  IF others IS NOT NULL THEN
    IF collections IS NOT NULL AND EXISTS (
      SELECT FROM json_to_recordset(collections) AS w(name text, fields text)
      LEFT JOIN cqrs.collections AS k ON k.name = w.name
      WHERE k.fields IS DISTINCT FROM w.fields)
    THEN
      RAISE EXCEPTION 'a collection was declared otherwise' USING ERRCODE = 'CQ002';
    END IF;
    FOR r IN SELECT * FROM cqrs.refused(others, log_head) LOOP
      IF found[r.c] IS NULL THEN
        found[r.c] := r.verdict;
      END IF;
    END LOOP;
  END IF;

  IF found IS NOT NULL THEN
    SELECT json_agg(v) INTO verdicts FROM unnest(found) AS v WHERE v IS NOT NULL;
    IF strict THEN
      RAISE EXCEPTION 'a commit was not applied'
        USING ERRCODE = 'CQ001', DETAIL = (verdicts->0)::text;
    END IF;
    SELECT array_agg(found[c] IS NULL ORDER BY c) INTO applied FROM generate_series(1, n) AS c;
    IF NOT true = ANY (applied) THEN
      RETURN;
    END IF;
  END IF;

  -- A transaction that sees only what was there when it began is told by the index that an event tells of
  -- its commit.
  IF strict AND NOT by_event[1] AND current_setting('transaction_isolation') <> 'read committed' THEN
    BEGIN
      INSERT INTO cqrs.events (position, version, recorded_at, id, schema_version, tenant, category,
        stream, type, metadata)
      VALUES (-1, -1, happened, firsts[1], 0, '', '', '', '', '{}');
      RAISE EXCEPTION 'there is none' USING ERRCODE = 'CQ004';
    EXCEPTION WHEN SQLSTATE 'CQ004' THEN
      NULL;
    END;
  END IF;

  IF places > 0 THEN
    base := nextval('cqrs.positions') - 1;
    IF places > 1 THEN
      ignored := setval('cqrs.positions', base + places);
    END IF;
  END IF;
  IF append_commits IS NOT NULL THEN
    INSERT INTO cqrs.events (position, version, recorded_at, id, schema_version, tenant, category,
      stream, type, tags, metadata, data, content_type, bytes, fingerprint, places)
    SELECT base + e.place, versions[e.a] + e.number, happened, e.id, e.schema_version, e.tenant,
      e.category, e.stream, e.type, string_to_array(e.tags, E'\x1f'), e.metadata, e.data,
      e.content_type, e.bytes, e.fingerprint, e.span
    FROM (
      SELECT unnest(event_appends) AS a, unnest(event_numbers) AS number,
        unnest(event_places) AS place, unnest(event_tenants) AS tenant,
        unnest(event_categories) AS category, unnest(event_streams) AS stream,
        unnest(event_types) AS type, unnest(event_schemas) AS schema_version,
        unnest(event_ids) AS id, unnest(event_tags) AS tags, unnest(event_metadata) AS metadata,
        unnest(event_data) AS data, unnest(event_content_types) AS content_type,
        unnest(event_bytes) AS bytes, unnest(event_fingerprints) AS fingerprint,
        unnest(event_spans) AS span) AS e
    WHERE applied[append_commits[e.a]];
    IF event_tags IS NOT NULL THEN
      INSERT INTO cqrs.event_tags (tag, position)
      SELECT DISTINCT t.tag, base + e.place
      FROM unnest(event_appends, event_places, event_tags) AS e(a, place, tags),
        string_to_table(e.tags, E'\x1f') AS t(tag)
      WHERE e.tags IS NOT NULL AND applied[append_commits[e.a]];
    END IF;
  END IF;
  IF others IS NOT NULL THEN
    PERFORM cqrs.write_others(others, texts, applied, base, happened);
  END IF;
  INSERT INTO cqrs.commits (id, fingerprint, position, at)
  SELECT c.id, c.fingerprint, CASE c.last WHEN 0 THEN log_head ELSE base + c.last END, happened
  FROM (
    SELECT unnest(ids) AS id, unnest(fingerprints) AS fingerprint, unnest(lasts) AS last,
      unnest(by_event) AS by_event, unnest(applied) AS applied) AS c
  WHERE c.applied AND (strict OR NOT c.by_event);
  IF inbox_commits IS NOT NULL THEN
    INSERT INTO cqrs.inbox (consumer, message, fingerprint, position, at, reply)
    SELECT i.consumer, i.message, i.fingerprint,
      CASE lasts[i.c] WHEN 0 THEN log_head ELSE base + lasts[i.c] END, happened, i.reply
    FROM unnest(inbox_commits, inbox_consumers, inbox_messages, inbox_fingerprints, inbox_replies)
      AS i(c, consumer, message, fingerprint, reply)
    WHERE applied[i.c]
    ON CONFLICT (consumer, message) DO UPDATE SET fingerprint = excluded.fingerprint,
      position = excluded.position, at = excluded.at, reply = excluded.reply;
  END IF;
END
$$;

-- Which table of which database of which cluster this is. A dump that is restored is in another one, and
-- so is a copy of the files once it was promoted: the control file tells of that only some time later.
CREATE FUNCTION cqrs.place() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  here text := (SELECT oid::text FROM pg_database WHERE datname = current_database())
    || '.' || 'cqrs.log'::regclass::oid;
BEGIN
  RETURN here || '/' || (SELECT system_identifier FROM pg_control_system()) || '/'
    || CASE WHEN pg_is_in_recovery() THEN (SELECT to_hex(timeline_id) FROM pg_control_checkpoint())
      ELSE ltrim(left(pg_walfile_name(pg_current_wal_lsn()), 8), '0') END;
EXCEPTION WHEN insufficient_privilege THEN
  RETURN here;
END
$$;

INSERT INTO cqrs.log (place) VALUES (cqrs.place());

-- Looks whether the log was restored, maybe to an older state. Its positions go on far behind all that
-- were given out then: none is given twice, and a reader that had come further misses nothing.
CREATE FUNCTION cqrs.note_restore(wait text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT place FROM cqrs.log) = cqrs.place() THEN
    RETURN false;
  END IF;
  PERFORM cqrs.take_turn(wait);
  IF (SELECT place FROM cqrs.log) = cqrs.place() THEN
    RETURN false;
  END IF;
  PERFORM setval('cqrs.positions',
    greatest((SELECT last_value FROM cqrs.positions), cqrs.head()) + 1000000000);
  UPDATE cqrs.log SET place = cqrs.place();
  RETURN true;
END
$$;
