//! `#[schema(..)]`.

use std::collections::HashSet;

use syn::{Data, DeriveInput, Fields, Generics, Ident, LitInt, LitStr, Path, Type};

use crate::ast::serde_name::{self, StoredFields};
use crate::attr::{CRATE, Key, Keys, module, value};
use crate::fault::Faults;
use crate::plain;
use crate::valid::{name, shape};

const KEYS: Keys = Keys {
    attribute: "schema",
    written: "#[schema(..)]",
    keys: &[
        Key::once("collection", "collection = \"tutors\""),
        Key::once("version", "version = 2"),
        Key::once("indexable", "indexable"),
        CRATE,
    ],
};

const FIELD_KEYS: Keys = Keys {
    attribute: "schema",
    written: "#[schema(..)]",
    keys: &[
        Key::once("id", "id"),
        Key::once("indexed", "indexed"),
        Key::once("unique", "unique"),
        Key::once("name", "name = \"email\""),
        Key::once("as", "as = Type"),
    ],
};

/// A type that is stored, and all that its attributes say.
pub(crate) struct Schema<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    /// Where `cqrs-core` is, if that is said.
    pub(crate) core: Option<Path>,
    /// Its collection, if it is an entity.
    pub(crate) collection: Option<LitStr>,
    pub(crate) version: u16,
    /// Whether entities can be found by it.
    pub(crate) indexable: bool,
    pub(crate) shape: Shape<'a>,
}

/// What it is in JSON.
pub(crate) enum Shape<'a> {
    /// An object with these fields.
    Struct(Vec<Field<'a>>),
    /// What its one field is.
    Same(Box<Type>),
    /// A name.
    Names,
    /// Anything.
    Json,
}

/// A field that is stored.
pub(crate) struct Field<'a> {
    pub(crate) ident: &'a Ident,
    /// Its name in JSON.
    pub(crate) name: String,
    pub(crate) ty: &'a Type,
    /// What it looks like, if not like its type.
    pub(crate) like: Option<Type>,
    /// Its name in the database, if it is another one.
    pub(crate) column: Option<LitStr>,
    pub(crate) may_miss: bool,
    pub(crate) is_id: bool,
    pub(crate) indexed: bool,
    pub(crate) unique: bool,
}

impl<'a> Schema<'a> {
    /// Reads a type.
    pub(crate) fn read(input: &'a DeriveInput, faults: &mut Faults) -> Self {
        shape::not_generic(input, "a schema", faults);
        shape::not_union(input, "what is stored", faults);
        let (mut core, mut collection, mut version, mut indexable) = (None, None, None, None);
        KEYS.read(&input.attrs, faults, |key, input, faults| {
            match key.to_string().as_str() {
                "collection" => {
                    let literal = value(key, input)?;
                    name::table(&literal, faults);
                    collection = Some(literal);
                }
                "version" => {
                    let literal: LitInt = value(key, input)?;
                    version = Some((key.clone(), name::version(&literal, faults)));
                }
                "indexable" => indexable = Some(key.clone()),
                _ => core = Some(module(key, input)?),
            }
            Ok(())
        });
        let shape = Shape::read(input, collection.as_ref(), faults);
        if let (Some((key, _)), None) = (&version, &collection) {
            faults.at(key, "only entities have versions: add `collection = \"…\"`");
        }
        if let Some(key) = &indexable
            && matches!(shape, Shape::Struct(_) | Shape::Json)
        {
            faults.at(key, "only a struct around one value, and an enum of names, can be indexed");
        }
        Self {
            ident: &input.ident,
            generics: &input.generics,
            core,
            collection,
            version: version.map_or(1, |(_, version)| version),
            indexable: indexable.is_some(),
            shape,
        }
    }
}

impl<'a> Shape<'a> {
    fn read(input: &'a DeriveInput, collection: Option<&LitStr>, faults: &mut Faults) -> Self {
        let fields = match &input.data {
            Data::Struct(data) => &data.fields,
            Data::Enum(data) => {
                if let Some(collection) = collection {
                    faults.at(collection, "an entity is a struct with named fields");
                }
                let is_name = |variant: &syn::Variant| matches!(variant.fields, Fields::Unit);
                let names = data.variants.iter().all(is_name)
                    && serde_name::is_written_as_names(&input.attrs);
                return if names { Self::Names } else { Self::Json };
            }
            Data::Union(_) => return Self::Json,
        };
        match fields {
            Fields::Named(named) => {
                let stored = serde_name::stored_fields(&input.attrs, faults);
                let fields = named.named.iter();
                let fields = fields.filter_map(|field| Field::read(field, &stored, faults));
                let fields: Vec<_> = fields.collect();
                if stored.is_transparent
                    && let [only] = &*fields
                {
                    if let Some(collection) = collection {
                        faults.at(
                            collection,
                            "an entity is written as an object, not as its one field",
                        );
                    }
                    check_part(&fields, faults);
                    return Self::Same(Box::new(only.looks_like().clone()));
                }
                match collection {
                    Some(_) => check_entity(&input.ident, &fields, faults),
                    None => check_part(&fields, faults),
                }
                Self::Struct(fields)
            }
            Fields::Unnamed(unnamed) if unnamed.unnamed.len() == 1 => {
                if let Some(collection) = collection {
                    faults.at(collection, "an entity is a struct with named fields");
                }
                // What serde makes of the struct, and of its field.
                serde_name::stored_fields(&input.attrs, faults);
                let Some(field) = unnamed.unnamed.first() else { return Self::Json };
                Self::Same(around(field, faults))
            }
            Fields::Unnamed(_) | Fields::Unit => {
                let message = "name its fields: their names are what they are stored under";
                faults.at(&input.ident, message);
                Self::Json
            }
        }
    }
}

/// What the one field of a struct around it looks like.
fn around(field: &syn::Field, faults: &mut Faults) -> Box<Type> {
    let mut like = None;
    FIELD_KEYS.read(&field.attrs, faults, |key, input, faults| {
        match key.to_string().as_str() {
            "as" => like = Some(value::<Type>(key, input)?),
            "name" => drop(value::<LitStr>(key, input)?),
            _ => {}
        }
        if key != "as" {
            faults.at(key, "a struct around one value has no fields of its own: remove this");
        }
        Ok(())
    });
    if let Some(with) = serde_name::written_with(field)
        && like.is_none()
    {
        faults.at(&with, written_otherwise(&with));
    }
    Box::new(like.unwrap_or_else(|| plain::ty(&field.ty).clone()))
}

fn written_otherwise(with: &Ident) -> String {
    format!(
        "`{with}` makes other JSON of it than its type: add `#[schema(as = Type)]` with a type that \
         looks like it"
    )
}

impl<'a> Field<'a> {
    fn read(field: &'a syn::Field, stored: &StoredFields, faults: &mut Faults) -> Option<Self> {
        let ident = field.ident.as_ref()?;
        let (mut id, mut indexed, mut unique, mut column, mut like) =
            (None, None, None, None, None);
        FIELD_KEYS.read(&field.attrs, faults, |key, input, faults| {
            match key.to_string().as_str() {
                "id" => id = Some(key.clone()),
                "indexed" => indexed = Some(key.clone()),
                "unique" => unique = Some(key.clone()),
                "name" => {
                    let literal: LitStr = value(key, input)?;
                    name::column(&literal, &literal.value(), faults);
                    column = Some(literal);
                }
                _ => like = Some(value::<Type>(key, input)?),
            }
            Ok(())
        });
        if id.is_some()
            && let Some(key) = indexed.as_ref().or(unique.as_ref())
        {
            faults
                .at(key, "an entity is found by its id anyway, and no two share one: remove this");
        } else if unique.is_some()
            && let Some(key) = &indexed
        {
            faults.at(key, "what is unique is indexed: remove this");
        }
        let Some(of) = stored.field(field, ident, faults) else {
            if let Some(key) = id.or(indexed).or(unique) {
                faults.at(key, "a field that is skipped is not stored");
            }
            return None;
        };
        if let Some(with) = &of.with
            && like.is_none()
        {
            faults.at(with, written_otherwise(with));
        }
        Some(Self {
            ident,
            name: of.name,
            ty: plain::ty(&field.ty),
            like,
            column,
            // An entity without an id is none, whatever the struct has a default for.
            may_miss: of.may_miss && id.is_none(),
            is_id: id.is_some(),
            indexed: indexed.is_some(),
            unique: unique.is_some(),
        })
    }

    /// What it looks like.
    pub(crate) fn looks_like(&self) -> &Type {
        self.like.as_ref().unwrap_or(self.ty)
    }

    fn column(&self) -> String {
        self.column.as_ref().map_or_else(|| self.name.clone(), LitStr::value)
    }
}

/// An entity has one id, and a name for each column.
fn check_entity(ident: &Ident, fields: &[Field<'_>], faults: &mut Faults) {
    let mut ids = fields.iter().filter(|field| field.is_id);
    match (ids.next(), ids.next()) {
        (None, _) => {
            let message = format!(
                "`{ident}` needs an id: put `#[schema(id)]` at the field that tells one from another"
            );
            faults.at(ident, message);
        }
        (Some(_), Some(other)) => {
            faults.at(other.ident, "an entity has one id: make one field of what it is made of");
        }
        (Some(_), None) => {}
    }
    let mut columns = HashSet::new();
    for field in fields {
        let column = field.column();
        if field.column.is_none() {
            name::column(field.ident, &column, faults);
        }
        if !columns.insert(column.to_ascii_lowercase()) {
            let message =
                format!("two fields would be stored as `{column}`: add `#[schema(name = \"…\")]`");
            faults.at(field.ident, message);
        }
    }
}

/// What is a part of entities is stored under its names in JSON, and not found by its fields.
fn check_part(fields: &[Field<'_>], faults: &mut Faults) {
    for field in fields {
        let key = match field {
            Field { is_id: true, .. } => "id",
            Field { indexed: true, .. } => "indexed",
            Field { unique: true, .. } => "unique",
            Field { column: Some(_), .. } => "name",
            _ => continue,
        };
        let message = format!(
            "only fields of entities have the key `{key}`: add `#[schema(collection = \"…\")]` to the \
             struct, or remove it"
        );
        faults.at(field.ident, message);
    }
}
