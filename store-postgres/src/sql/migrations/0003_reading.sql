-- Finds positions of the log, without a scan, for readers and for guards.

-- A filter is {"types": […], "categories": […], "tags": […], "tenant": …, "since": …,
-- "streams": [[tenant, category, stream], …]}; what it does not name is null.

-- The last position before a time, or `after` where that is later. Recorded times never decrease, so it
-- is searched for by halves.
CREATE FUNCTION cqrs.before_time(since timestamptz, after bigint, log_head bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
  low bigint := after;
  high bigint := log_head;
  middle bigint;
  r record;
BEGIN
  -- All at or below `low` is too early; nothing above `high` need be looked at.
  WHILE low < high LOOP
    middle := low + (high - low) / 2 + 1;
    SELECT e.position, e.recorded_at INTO r
    FROM cqrs.events AS e WHERE e.position >= middle ORDER BY e.position LIMIT 1;
    IF FOUND AND r.recorded_at < since THEN
      low := r.position;
    ELSE
      high := middle - 1;
    END IF;
  END LOOP;
  RETURN low;
END
$$;

-- The first version of a stream after a position; NULL: there is none. Positions rise with versions.
CREATE FUNCTION cqrs.first_after(of_tenant text, of_category text, of_stream text, after bigint)
RETURNS bigint LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
  low bigint;
  high bigint;
  middle bigint;
  last bigint;
  r record;
BEGIN
  SELECT e.version INTO low FROM cqrs.events AS e
  WHERE e.stream = of_stream AND e.category = of_category AND e.tenant = of_tenant
  ORDER BY e.version LIMIT 1;
  SELECT e.version, e.position INTO r FROM cqrs.events AS e
  WHERE e.stream = of_stream AND e.category = of_category AND e.tenant = of_tenant
  ORDER BY e.version DESC LIMIT 1;
  IF NOT FOUND OR r.position <= after THEN
    RETURN NULL;
  END IF;
  last := r.version;
  high := last;
  WHILE low < high LOOP
    middle := low + (high - low) / 2;
    SELECT e.version, e.position INTO r FROM cqrs.events AS e
    WHERE e.stream = of_stream AND e.category = of_category AND e.tenant = of_tenant
      AND e.version >= middle
    ORDER BY e.version LIMIT 1;
    IF r.position <= after THEN
      low := r.version + 1;
    ELSE
      high := middle;
    END IF;
  END LOOP;
  RETURN low;
END
$$;

-- Positions of events that a filter may let through, in order, by the index that finds the fewest; and
-- how far that is all of them. At most `most` positions. The order by two columns is that of one index: by
-- `position` alone, the planner might go through the whole log for a name that is rare in it.
CREATE FUNCTION cqrs.candidates(
  types text[], categories text[], tags text[], stream_tenants text[], stream_categories text[],
  streams text[], after bigint, log_head bigint, most integer,
  OUT positions bigint[], OUT through bigint)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  seeks integer := 0;
  agreed integer := 0;
  place bigint;
  reached bigint := after + 1;
  wanted text;
BEGIN
  positions := '{}';
  IF tags IS NOT NULL THEN
    -- Each tag's next place is sought from where the others stand: the rarest decides.
    <<seeking>>
    LOOP
      FOREACH wanted IN ARRAY tags LOOP
        EXIT seeking WHEN seeks >= 8192 + cardinality(tags) OR cardinality(positions) >= most;
        seeks := seeks + 1;
        SELECT t.position INTO place FROM cqrs.event_tags AS t
        WHERE t.tag = wanted AND t.position >= reached ORDER BY t.position LIMIT 1;
        IF NOT FOUND OR place > log_head THEN
          through := log_head;
          RETURN;
        END IF;
        IF place = reached THEN
          agreed := agreed + 1;
        ELSE
          reached := place;
          agreed := 1;
        END IF;
        IF agreed = cardinality(tags) THEN
          positions := positions || reached;
          reached := reached + 1;
          agreed := 0;
        END IF;
      END LOOP;
    END LOOP;
    through := least(reached - 1, log_head);
    RETURN;
  END IF;
  SELECT coalesce(array_agg(f.position ORDER BY f.position), '{}') INTO positions
  FROM (
    SELECT p.position FROM (
      SELECT e.position
      FROM unnest(stream_tenants, stream_categories, streams) AS s(tenant, category, stream)
      CROSS JOIN LATERAL (
        SELECT k.position FROM cqrs.events AS k
        WHERE k.stream = s.stream AND k.category = s.category AND k.tenant = s.tenant
          AND k.version >= cqrs.first_after(s.tenant, s.category, s.stream, candidates.after)
        ORDER BY k.version LIMIT most
      ) AS e
      UNION
      SELECT e.position
      FROM unnest(CASE WHEN streams IS NULL THEN types END) AS t(type)
      CROSS JOIN LATERAL (
        SELECT k.position FROM cqrs.events AS k
        WHERE (k.type, k.position) > (t.type, candidates.after) AND (k.type, k.position) <= (t.type, log_head)
        ORDER BY k.type, k.position LIMIT most
      ) AS e
      UNION
      SELECT e.position
      FROM unnest(CASE WHEN streams IS NULL AND types IS NULL THEN categories END) AS t(category)
      CROSS JOIN LATERAL (
        SELECT k.position FROM cqrs.events AS k
        WHERE (k.category, k.position) > (t.category, candidates.after) AND (k.category, k.position) <= (t.category, log_head)
        ORDER BY k.category, k.position LIMIT most
      ) AS e
    ) AS p
    WHERE p.position <= log_head
    ORDER BY p.position LIMIT most
  ) AS f;
  through := CASE WHEN cardinality(positions) < most THEN log_head
    ELSE positions[cardinality(positions)] END;
END
$$;

-- The first event after a position that a filter lets through; NULL: there is none. `streams` of a
-- filter are [[tenant, category, stream], …], `since` is in microseconds.
CREATE FUNCTION cqrs.first_matching(filter json, after bigint, log_head bigint)
RETURNS bigint LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_variable
DECLARE
  types text[] := (SELECT array_agg(x) FROM json_array_elements_text(filter->'types') AS x);
  categories text[] :=
    (SELECT array_agg(x) FROM json_array_elements_text(filter->'categories') AS x);
  tags text[] := (SELECT array_agg(x) FROM json_array_elements_text(filter->'tags') AS x);
  tenants text[] := (SELECT array_agg(x->>0) FROM json_array_elements(filter->'streams') AS x);
  of_categories text[] := (SELECT array_agg(x->>1) FROM json_array_elements(filter->'streams') AS x);
  streams text[] := (SELECT array_agg(x->>2) FROM json_array_elements(filter->'streams') AS x);
  reached bigint := after;
  found bigint;
  r record;
BEGIN
  IF filter->>'since' IS NOT NULL THEN
    reached := cqrs.before_time(cqrs.at((filter->>'since')::bigint), after, log_head);
  END IF;
  IF types IS NULL AND categories IS NULL AND tags IS NULL AND streams IS NULL THEN
    SELECT min(e.position) INTO found FROM cqrs.events AS e
    WHERE e.position > reached AND (filter->>'tenant' IS NULL OR e.tenant = filter->>'tenant');
    RETURN found;
  END IF;
  WHILE reached < log_head LOOP
    r := cqrs.candidates(types, categories, tags, tenants, of_categories, streams, reached,
      log_head, 256);
    SELECT min(e.position) INTO found
    FROM unnest(r.positions) AS p(place)
    JOIN cqrs.events AS e ON e.position = p.place
    WHERE cqrs.lets_through(types, categories, tags, tenants, of_categories, streams,
      filter->>'tenant', e.type, e.category, e.tags, e.tenant, e.stream);
    IF found IS NOT NULL THEN
      RETURN found;
    END IF;
    reached := r.through;
  END LOOP;
  RETURN NULL;
END
$$;

-- What an index did not tell of a filter.
CREATE FUNCTION cqrs.lets_through(
  types text[], categories text[], tags text[], stream_tenants text[], stream_categories text[],
  streams text[], of_tenant text, event_type text, category text, event_tags text[], tenant text,
  stream text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (types IS NULL OR event_type = ANY (types))
    AND (categories IS NULL OR category = ANY (categories))
    AND (tags IS NULL OR event_tags @> tags)
    AND (of_tenant IS NULL OR tenant = of_tenant)
    AND (streams IS NULL OR EXISTS (
      SELECT FROM unnest(stream_tenants, stream_categories, streams) AS s(t, c, s)
      WHERE s.s = stream AND s.c = category AND s.t = tenant))
$$;

-- Whether a process of the server is gone that had begun then. Of those of other users it is not told
-- when they began: such a one may be it.
CREATE FUNCTION cqrs.is_gone(of_pid integer, of_since timestamptz) RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT of_pid IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_stat_get_activity(of_pid) AS a
    WHERE a.pid = of_pid AND (a.backend_start IS NULL OR a.backend_start = of_since))
$$;

-- Gives out leases (see the port). Under the lock of those who write: a fence that a commit has looked
-- at holds until it is written.
CREATE FUNCTION cqrs.lease_1(
  wait text, of_holder text, names text[], term interval, of_pid integer, of_since timestamptz)
RETURNS TABLE (name text, holder text, token bigint, until timestamptz, taken_over boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  happened timestamptz;
BEGIN
  PERFORM cqrs.take_turn(wait);
  happened := clock_timestamp();
  RETURN QUERY
    WITH wanted AS (
      SELECT w.name, w.n, coalesce(l.holder, '') AS before, coalesce(l.token, 0) AS token,
        l.until, l.pid, l.since
      FROM unnest(names) WITH ORDINALITY AS w(name, n) LEFT JOIN cqrs.leases AS l USING (name)
    ), given AS (
      INSERT INTO cqrs.leases AS l (name, holder, token, until, pid, since)
      SELECT w.name, of_holder, w.token + (w.before <> of_holder)::integer, happened + term, of_pid,
        of_since
      FROM wanted AS w
      WHERE w.before = of_holder OR w.until IS NULL OR w.until <= happened OR w.before = ''
        OR cqrs.is_gone(w.pid, w.since)
      ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = excluded.token,
        until = excluded.until, pid = excluded.pid, since = excluded.since
      RETURNING l.name, l.holder, l.token, l.until
    )
    SELECT w.name, coalesce(g.holder, w.before), coalesce(g.token, w.token),
      coalesce(g.until, w.until),
      g.name IS NOT NULL AND w.before <> '' AND w.before <> of_holder
    FROM wanted AS w LEFT JOIN given AS g USING (name) ORDER BY w.n;
END
$$;

CREATE FUNCTION cqrs.release_1(wait text, of_holder text, names text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM cqrs.take_turn(wait);
  UPDATE cqrs.leases AS l SET holder = '', until = '-infinity'
  WHERE l.name = ANY (names) AND l.holder = of_holder AND l.holder <> '';
END
$$;

CREATE FUNCTION cqrs.purge_1(wait text, of_collection text, most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  purged integer;
BEGIN
  PERFORM cqrs.take_turn(wait);
  WITH gone AS (
    DELETE FROM cqrs.documents AS d USING (
      SELECT k.collection, k.tenant, k.id FROM cqrs.documents AS k
      WHERE k.collection = of_collection ORDER BY k.tenant, k.id LIMIT most
    ) AS k
    WHERE d.collection = k.collection AND d.tenant = k.tenant AND d.id = k.id
    RETURNING d.collection, d.tenant, d.id
  ), fields AS (
    DELETE FROM cqrs.document_fields AS f USING gone AS g
    WHERE f.collection = g.collection AND f.tenant = g.tenant AND f.id = g.id
  )
  SELECT count(*) INTO purged FROM gone;
  RETURN purged;
END
$$;
