//! `#[event(..)]` at an enum's variants, or at a struct.

use syn::parse::ParseStream;
use syn::{Attribute, Data, DeriveInput, Fields, Generics, Ident, LitInt, LitStr, Path, Token};

use crate::ast::serde_name;
use crate::attr::{CRATE, Key, Keys, list, module, value};
use crate::fault::Faults;
use crate::valid::tag::{self, Tag, unraw};
use crate::valid::upcast::{self, Upcast};
use crate::valid::{name, shape};

const KEYS: Keys = Keys {
    attribute: "event",
    written: "#[event(..)]",
    keys: &[
        Key::once("name", "name = \"learning.course_created\""),
        Key::once("version", "version = 2"),
        Key::once("upcast", "upcast(1 = path::of::function)"),
        Key::repeated("tag", "tag = \"tutor:{tutor_id}\""),
    ],
};

/// At an enum itself.
const ENUM_KEYS: Keys = Keys {
    attribute: "event",
    written: "#[event(schema)]",
    keys: &[Key::once("schema", "schema"), CRATE],
};

/// At a struct, which is both the event and its type.
const STRUCT_KEYS: Keys = Keys {
    keys: &[
        Key::once("name", "name = \"learning.course_created\""),
        Key::once("version", "version = 2"),
        Key::once("upcast", "upcast(1 = path::of::function)"),
        Key::repeated("tag", "tag = \"tutor:{tutor_id}\""),
        Key::once("schema", "schema"),
        CRATE,
    ],
    ..KEYS
};

/// An event and all that its attributes say.
pub(crate) struct Event<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    /// Where `cqrs-core` is, if that is said.
    pub(crate) core: Option<Path>,
    pub(crate) types: Vec<Type<'a>>,
    /// Whether the manifest shows JSON Schemas of the bodies.
    pub(crate) schema: bool,
}

/// What is said of the item as a whole.
#[derive(Default)]
struct Item {
    core: Option<Path>,
    schema: bool,
}

impl Item {
    fn read(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match key.to_string().as_str() {
            "crate" => self.core = Some(module(key, input)?),
            _ => self.schema = true,
        }
        Ok(())
    }
}

/// One type of event.
pub(crate) struct Type<'a> {
    /// The variant; `None`: the event is a struct.
    pub(crate) variant: Option<&'a Ident>,
    pub(crate) name: Option<LitStr>,
    /// What serde calls it.
    pub(crate) serde_name: String,
    pub(crate) version: u16,
    pub(crate) upcasts: Vec<Upcast>,
    pub(crate) tags: Vec<Tag>,
}

impl<'a> Event<'a> {
    /// Reads a type.
    pub(crate) fn read(input: &'a DeriveInput, faults: &mut Faults) -> Self {
        shape::not_generic(input, "an event", faults);
        shape::not_union(input, "an event", faults);
        let mut item = Item::default();
        let types = match &input.data {
            Data::Struct(data) => {
                let serde_name = unraw(&input.ident);
                let (attrs, ident) = (&input.attrs, &input.ident);
                let read = (STRUCT_KEYS, &mut item);
                vec![Type::read(read, attrs, ident, &data.fields, serde_name, faults)]
            }
            Data::Enum(data) => {
                ENUM_KEYS.read(&input.attrs, faults, |key, input, _| item.read(key, input));
                if data.variants.is_empty() {
                    faults.at(&input.ident, "an event has at least one variant");
                }
                let rules = serde_name::variants_renamed(&input.attrs, faults);
                let variants = data.variants.iter().map(|variant| {
                    let serde_name = serde_name::variant_name(variant, &rules, faults);
                    let (attrs, ident) = (&variant.attrs, &variant.ident);
                    let read = (KEYS, &mut Item::default());
                    let kind = Type::read(read, attrs, ident, &variant.fields, serde_name, faults);
                    Type { variant: Some(ident), ..kind }
                });
                variants.collect()
            }
            Data::Union(_) => Vec::new(),
        };
        let Item { core, schema } = item;
        let event = Self { ident: &input.ident, generics: &input.generics, core, types, schema };
        event.check_distinct(faults);
        event
    }

    fn check_distinct(&self, faults: &mut Faults) {
        for (n, kind) in self.types.iter().enumerate() {
            let earlier = &self.types[..n];
            if let Some(name) = &kind.name
                && earlier.iter().flat_map(|t| &t.name).any(|other| other.value() == name.value())
            {
                let message = format!("two variants are recorded as `{}`", name.value());
                faults.at(name, message);
            }
            if let Some(variant) = kind.variant
                && earlier.iter().any(|other| other.serde_name == kind.serde_name)
            {
                let message = format!("serde calls two variants `{}`", kind.serde_name);
                faults.at(variant, message);
            }
        }
    }
}

impl Type<'_> {
    fn read(
        (keys, item): (Keys, &mut Item),
        attrs: &[Attribute],
        ident: &Ident,
        fields: &Fields,
        serde_name: String,
        faults: &mut Faults,
    ) -> Self {
        shape::not_bare(fields, faults);
        shape::recordable(fields, faults);
        let (mut recorded, mut version, mut tags) = (None, None, Vec::new());
        let (mut upcasts, mut named) = (Vec::new(), false);
        // A fault in one of them would make the other look faulty.
        let mut sound = true;
        let readable = keys.read(attrs, faults, |key, input, faults| {
            match key.to_string().as_str() {
                "name" => {
                    named = true;
                    let literal = value(key, input)?;
                    name::name(&literal, faults);
                    recorded = Some(literal);
                }
                "version" => {
                    sound = false;
                    version = Some(value::<LitInt>(key, input)?);
                    sound = true;
                }
                "upcast" => {
                    sound = false;
                    upcasts = list(key, input, read_upcasts)?;
                    sound = true;
                }
                "schema" | "crate" => item.read(key, input)?,
                _ => tags.extend(tag::tag(&value(key, input)?, fields, faults)),
            }
            Ok(())
        });
        if readable && !named {
            let message = format!("`{ident}` has a name in the log: add `#[event({NAME})]`");
            faults.at(ident, message);
        }
        let version = match sound {
            true => upcast::upcasters(ident, version.as_ref(), &mut upcasts, faults),
            false => 1,
        };
        Self { variant: None, name: recorded, serde_name, version, upcasts, tags }
    }
}

const NAME: &str = KEYS.keys[0].written;

fn read_upcasts(input: ParseStream<'_>) -> syn::Result<Vec<Upcast>> {
    let one = |input: ParseStream<'_>| {
        let literal: LitInt = input.parse()?;
        let from = literal.base10_parse()?;
        input.parse::<Token![=]>()?;
        Ok(Upcast { literal, from, lift: input.parse::<Path>()? })
    };
    Ok(input.parse_terminated(one, Token![,])?.into_iter().collect())
}
