//! `#[command(..)]` and `#[query(..)]`.

use syn::{DeriveInput, Generics, Ident, LitInt, LitStr, Path, Type};

use crate::ast::check::{self, Check};
use crate::attr::{CRATE, Key, Keys, module, value};
use crate::fault::Faults;
use crate::plain;
use crate::valid::{name, shape};

/// Command or query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Command,
    Query,
}

impl Kind {
    /// Name of the trait, and of the variant of `RequestKind`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Command => "Command",
            Self::Query => "Query",
        }
    }

    /// What it is called in a sentence.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Command => "a command",
            Self::Query => "a query",
        }
    }

    fn keys(self) -> Keys {
        let (attribute, written) = match self {
            Self::Command => ("command", "#[command(..)]"),
            Self::Query => ("query", "#[query(..)]"),
        };
        Keys { attribute, written, keys: KEYS }
    }
}

const KEYS: &[Key] = &[
    Key::once("name", "name = \"learning.create_course\""),
    Key::once("output", "output = Type"),
    Key::once("error", "error = Type"),
    Key::once("version", "version = 2"),
    Key::once("internal", "internal"),
    Key::once("services", "services"),
    Key::once("local", "local"),
    Key::once("validate", "validate = path::of::function"),
    Key::once("run_once", "run_once"),
    Key::once("shared", "shared"),
    Key::once("schema", "schema"),
    CRATE,
];

/// A request and all that its attributes say.
pub(crate) struct Request<'a> {
    pub(crate) kind: Kind,
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    /// Where `cqrs-core` is, if that is said.
    pub(crate) core: Option<Path>,
    pub(crate) name: Option<LitStr>,
    pub(crate) output: Option<Type>,
    pub(crate) error: Option<Type>,
    pub(crate) version: u16,
    pub(crate) visibility: Option<&'static str>,
    pub(crate) local: bool,
    pub(crate) validate: Option<Path>,
    pub(crate) run_once: bool,
    pub(crate) shared: bool,
    pub(crate) schema: bool,
    pub(crate) checks: Vec<Check>,
}

impl<'a> Request<'a> {
    /// Reads a type.
    pub(crate) fn read(kind: Kind, input: &'a DeriveInput, faults: &mut Faults) -> Self {
        shape::not_generic(input, kind.word(), faults);
        shape::not_union(input, kind.word(), faults);
        let mut request = Self {
            kind,
            ident: &input.ident,
            generics: &input.generics,
            core: None,
            name: None,
            output: None,
            error: None,
            version: 1,
            visibility: None,
            local: false,
            validate: None,
            run_once: false,
            shared: false,
            schema: false,
            checks: check::read(input, faults),
        };
        let mut schema = None;
        let mut named = false;
        let keys = kind.keys();
        let readable = keys.read(&input.attrs, faults, |key, input, faults| {
            match key.to_string().as_str() {
                "name" => {
                    named = true;
                    let literal = value(key, input)?;
                    name::name(&literal, faults);
                    request.name = Some(literal);
                }
                "output" => request.output = Some(plain::ty(&value(key, input)?).clone()),
                "error" => request.error = Some(plain::ty(&value(key, input)?).clone()),
                "version" => {
                    request.version = name::version(&value::<LitInt>(key, input)?, faults);
                }
                "internal" | "services" if request.visibility.is_some() => {
                    faults.at(
                        key,
                        "`internal` is for nobody else, `services` for other services: one of them",
                    );
                }
                "internal" => request.visibility = Some("Internal"),
                "services" => request.visibility = Some("Services"),
                "local" => request.local = true,
                "validate" => request.validate = Some(value(key, input)?),
                "run_once" => request.run_once = true,
                "shared" => request.shared = true,
                "crate" => request.core = Some(module(key, input)?),
                _ => schema = Some(key.clone()),
            }
            Ok(())
        });
        if let Some(key) = &schema {
            request.schema = true;
            if request.local {
                faults.at(key, "a local request has no wire form, so it has no schema");
            }
        }
        if readable && !named {
            let (attribute, key) = (keys.attribute, KEYS[0].written);
            let message = format!("{} has a name: add `#[{attribute}({key})]`", kind.word());
            faults.at(&input.ident, message);
        }
        request
    }
}
