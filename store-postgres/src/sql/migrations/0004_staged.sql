-- Commits in a user's own transaction wait here for its end. Only then are they numbered: others do not
-- wait for the user, and no position is known before it is final.
CREATE TABLE cqrs.staged_1 (
  id uuid PRIMARY KEY,
  strict boolean, looks boolean,
  wait text, keep_commits interval, keep_inbox interval, places integer, ids uuid[],
  fingerprints bytea[], firsts uuid[], by_event boolean[], lasts integer[], append_commits integer[], append_tenants text[],
  append_categories text[], append_streams text[], append_expected bigint[], event_appends integer[],
  event_numbers integer[], event_places integer[], event_tenants text[], event_categories text[],
  event_streams text[], event_types text[], event_schemas integer[], event_ids uuid[],
  event_tags text[], event_metadata json[], event_data json[], event_content_types text[],
  event_bytes bytea[], event_fingerprints bytea[], event_spans integer[], inbox_commits integer[], inbox_consumers text[], inbox_messages uuid[],
  inbox_fingerprints bytea[], inbox_replies bytea[], collections json, others json, texts text[]
);

CREATE FUNCTION cqrs.apply_staged_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- What is only looked at is seen as it was when such a transaction began.
  IF current_setting('transaction_isolation') <> 'read committed'
    AND (NEW.others->'fences' IS NOT NULL OR NEW.others->'stream_guards' IS NOT NULL
      OR NEW.others->'document_guards' IS NOT NULL OR NEW.others->'none_matching' IS NOT NULL)
  THEN
    RAISE EXCEPTION 'guards and fences need a transaction at READ COMMITTED' USING ERRCODE = 'CQ003';
  END IF;
  DELETE FROM cqrs.staged_1 WHERE id = NEW.id;
  PERFORM cqrs.note_restore(NEW.wait);
  PERFORM cqrs.commit_1(true, true, NEW.wait, NEW.keep_commits, NEW.keep_inbox, NEW.places, NEW.ids, NEW.fingerprints, NEW.firsts, NEW.by_event, NEW.lasts,
    NEW.append_commits, NEW.append_tenants, NEW.append_categories, NEW.append_streams,
    NEW.append_expected, NEW.event_appends, NEW.event_numbers, NEW.event_places, NEW.event_tenants,
    NEW.event_categories, NEW.event_streams, NEW.event_types, NEW.event_schemas, NEW.event_ids,
    NEW.event_tags, NEW.event_metadata, NEW.event_data, NEW.event_content_types, NEW.event_bytes, NEW.event_fingerprints, NEW.event_spans,
    NEW.inbox_commits, NEW.inbox_consumers, NEW.inbox_messages, NEW.inbox_fingerprints,
    NEW.inbox_replies, NEW.collections, NEW.others, NEW.texts);
  RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER apply_staged_1 AFTER INSERT ON cqrs.staged_1
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cqrs.apply_staged_1();
