-- Collections whose entities have a schema are tables of their own. `documents` knows their versions, with
-- the body `null`; declaring such a collection makes the table and, with its name, `rows_of_…`, which
-- writes rows, and `rows_gone_…`, which removes them.

ALTER FUNCTION cqrs.write_others(json, text[], boolean[], bigint, timestamptz) RENAME TO write_parts;

CREATE FUNCTION cqrs.write_others(
  others json, texts text[], applied boolean[], base bigint, happened timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  of_collection text;
BEGIN
  PERFORM cqrs.write_parts(others, texts, applied, base, happened);
  IF others->'mapped' IS NOT NULL THEN
    FOR of_collection IN SELECT json_array_elements_text(others->'mapped') LOOP
      EXECUTE format('SELECT cqrs.%I($1, $2, $3)', 'rows_of_' || of_collection)
        USING others, texts, applied;
    END LOOP;
  END IF;
END
$$;

CREATE OR REPLACE FUNCTION cqrs.purge_1(wait text, of_collection text, most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  purged integer;
  tenants text[];
  ids text[];
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
  SELECT count(*), array_agg(g.tenant), array_agg(g.id) INTO purged, tenants, ids FROM gone AS g;
  IF purged > 0 AND EXISTS (
    SELECT FROM cqrs.collections AS k WHERE k.name = of_collection AND starts_with(k.fields, '{'))
  THEN
    EXECUTE format('SELECT cqrs.%I($1, $2)', 'rows_gone_' || of_collection) USING tenants, ids;
  END IF;
  RETURN purged;
END
$$;
