//! What makes a table: columns, constraints, indexes, and the functions that write its rows.

use cqrs_core::{Field, FieldType, Index, Mapping};

use super::{literal, named, others, quoted};

/// What makes the table.
pub(super) fn table(schema: &str, name: &str, mapping: &Mapping) -> String {
    let id = quoted(mapping.id_column());
    let mut columns = vec![
        "_tenant text COLLATE \"C\" NOT NULL DEFAULT ''".to_owned(),
        format!("{id} text COLLATE \"C\" NOT NULL"),
        "_version bigint NOT NULL DEFAULT 1".to_owned(),
    ];
    columns.extend(others(mapping).map(column));
    columns.push(format!("PRIMARY KEY (_tenant, {id})"));
    format!("CREATE TABLE {} ({}) WITH (fillfactor = 80)", named(schema, name), columns.join(", "))
}

/// A column, as a table is made with it.
pub(super) fn column(field: &Field) -> String {
    let null = if field.may_be_absent() { "" } else { " NOT NULL" };
    format!("{} {}{null}", quoted(&field.column), kind(&field.of))
}

/// The type of a column, as the server calls it.
pub(super) fn kind(of: &FieldType) -> &'static str {
    match of.present() {
        FieldType::Integer => "bigint",
        FieldType::Unsigned => "numeric(20,0)",
        FieldType::Float => "double precision",
        FieldType::Bool => "boolean",
        FieldType::Uuid => "uuid",
        FieldType::Time => "timestamp with time zone",
        // It writes numbers in its own way, which for fields of Rust is the same value, and for any JSON not.
        of @ (FieldType::List(_) | FieldType::Struct(_)) if !of.holds_any_json() => "jsonb",
        FieldType::List(_) | FieldType::Struct(_) | FieldType::Json => "json",
        FieldType::Text | FieldType::Optional(_) => "text",
    }
}

/// The value of a field in the body `b`.
fn value(field: &Field) -> String {
    let (name, kind) = (literal(&field.name), kind(&field.of));
    match (&field.of, field.of.present()) {
        (FieldType::Json, _) => format!("b.b->{name}"),
        (_, FieldType::List(_) | FieldType::Struct(_) | FieldType::Json) => {
            format!("CASE WHEN b.b->>{name} IS NOT NULL THEN (b.b->{name})::{kind} END")
        }
        (_, FieldType::Text) => format!("b.b->>{name}"),
        _ => format!("(b.b->>{name})::{kind}"),
    }
}

/// The columns beside the first three, and their values in the body `b`.
pub(super) fn values(mapping: &Mapping) -> (String, String) {
    let columns = others(mapping).map(|field| format!(", {}", quoted(&field.column)));
    let values = others(mapping).map(|field| format!(", {}", value(field)));
    (columns.collect(), values.collect())
}

/// The functions that write rows and remove them.
pub(super) fn functions(schema: &str, name: &str, mapping: &Mapping) -> String {
    let (table, id, of) = (named(schema, name), quoted(mapping.id_column()), literal(name));
    let (columns, values) = values(mapping);
    let sets = others(mapping).map(|field| {
        let column = quoted(&field.column);
        format!(", {column} = excluded.{column}")
    });
    let sets: String = sets.collect();
    let body = format!(
        "BEGIN
  IF (others->>'deletes')::boolean THEN
    DELETE FROM {table} AS t
    USING json_to_recordset(others->'documents')
      AS w(c integer, tenant text, collection text, id text, gone boolean)
    WHERE w.collection = {of} AND w.gone AND applied[w.c] AND t._tenant = w.tenant AND t.{id} = w.id;
  END IF;
  INSERT INTO {table} (_tenant, {id}, _version{columns})
  SELECT w.tenant, w.id, d.version{values}
  FROM json_to_recordset(others->'documents')
    AS w(c integer, tenant text, collection text, id text, \"row\" integer)
  CROSS JOIN LATERAL (SELECT texts[w.\"row\"]::json AS b OFFSET 0) AS b
  JOIN {schema}.documents AS d
    ON d.collection = w.collection AND d.tenant = w.tenant AND d.id = w.id
  WHERE w.collection = {of} AND applied[w.c] AND w.\"row\" IS NOT NULL
  ON CONFLICT (_tenant, {id}) DO UPDATE SET _version = excluded._version{sets};
END"
    );
    let write = named(schema, &format!("rows_of_{name}"));
    let gone = named(schema, &format!("rows_gone_{name}"));
    let remove = format!(
        "DELETE FROM {table} AS t USING unnest(tenants, ids) AS g(tenant, id) \
         WHERE t._tenant = g.tenant AND t.{id} = g.id"
    );
    format!(
        "CREATE OR REPLACE FUNCTION {write}(others json, texts text[], applied boolean[]) RETURNS void \
         LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off \
         AS {}; CREATE OR REPLACE FUNCTION {gone}(tenants text[], ids text[]) RETURNS void LANGUAGE sql AS {}",
        literal(&body),
        literal(&remove),
    )
}

/// What makes the index of a field, or its constraint: values may be swapped in one statement.
pub(super) fn index(schema: &str, name: &str, mapping: &Mapping, field: &Field) -> String {
    let (table, column) = (named(schema, name), quoted(&field.column));
    let index = quoted(&Mapping::index_name(name, field));
    match field.index {
        Some(Index::Unique) => format!(
            "ALTER TABLE {table} ADD CONSTRAINT {index} UNIQUE (_tenant, {column}) \
             DEFERRABLE INITIALLY IMMEDIATE"
        ),
        _ => {
            let id = quoted(mapping.id_column());
            format!("CREATE INDEX {index} ON {table} (_tenant, {column}, {id})")
        }
    }
}

/// What removes the index of a field, or its constraint, if it is there.
pub(super) fn drop_index(schema: &str, name: &str, field: &Field) -> String {
    let index = Mapping::index_name(name, field);
    match field.index {
        Some(Index::Unique) => {
            let table = named(schema, name);
            format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {}", quoted(&index))
        }
        _ => format!("DROP INDEX IF EXISTS {}", named(schema, &index)),
    }
}
