//! `#[aggregate(..)]`.

use proc_macro2::TokenStream;
use syn::parse::Parse;
use syn::{DeriveInput, Expr, Generics, Ident, LitStr, Path, Type};

use crate::attr::{CRATE, Key, Keys, list, module, value};
use crate::fault::Faults;
use crate::valid::{name, shape};

const KEYS: Keys = Keys {
    attribute: "aggregate",
    written: "#[aggregate(..)]",
    keys: &[
        Key::once("category", "category = \"course\""),
        Key::once("id", "id = Type"),
        Key::once("event", "event = Type"),
        Key::once("apply", "apply = path::of::function"),
        Key::once("snapshot", "snapshot(every = 100)"),
        Key::once("document", "document"),
        CRATE,
    ],
};

/// The keys of `snapshot(..)`.
const SNAPSHOT: Keys = Keys {
    attribute: "snapshot",
    written: "snapshot(..)",
    keys: &[Key::once("every", "every = 100"), Key::once("version", "version = 2")],
};

/// An aggregate and all that its attributes say.
pub(crate) struct Aggregate<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    /// Where `cqrs-core` is, if that is said.
    pub(crate) core: Option<Path>,
    pub(crate) category: Option<LitStr>,
    pub(crate) id: Option<Type>,
    pub(crate) event: Option<Type>,
    pub(crate) apply: Option<Path>,
    /// Events from one snapshot to the next.
    pub(crate) every: Option<Expr>,
    /// Version of what the snapshots say.
    pub(crate) version: Option<Expr>,
    /// Whether the state is stored as a document.
    pub(crate) document: bool,
}

impl<'a> Aggregate<'a> {
    /// Reads a type.
    pub(crate) fn read(input: &'a DeriveInput, faults: &mut Faults) -> Self {
        shape::not_generic(input, "an aggregate", faults);
        shape::not_union(input, "an aggregate", faults);
        let mut aggregate = Self {
            ident: &input.ident,
            generics: &input.generics,
            core: None,
            category: None,
            id: None,
            event: None,
            apply: None,
            every: None,
            version: None,
            document: false,
        };
        let (mut given, mut document) = (Vec::new(), None);
        let readable = KEYS.read(&input.attrs, faults, |key, input, faults| {
            given.push(key.to_string());
            match key.to_string().as_str() {
                "category" => {
                    let literal = value(key, input)?;
                    name::name(&literal, faults);
                    aggregate.category = Some(literal);
                }
                "id" => aggregate.id = Some(value(key, input)?),
                "event" => aggregate.event = Some(value(key, input)?),
                "apply" => {
                    let path = value(key, input)?;
                    check_apply(&path, faults);
                    aggregate.apply = Some(path);
                }
                "document" => {
                    aggregate.document = true;
                    document = Some(key.clone());
                }
                "crate" => aggregate.core = Some(module(key, input)?),
                _ => {
                    (aggregate.every, aggregate.version) = read_snapshot(key, input, faults)?;
                }
            }
            Ok(())
        });
        if let Some(key) = document
            && given.iter().any(|given| given == "snapshot")
        {
            faults.at(
                &key,
                "a state that is stored as a document has no snapshots: drop one of them",
            );
        }
        let missing: Vec<_> = KEYS.keys[..3]
            .iter()
            .filter(|key| !given.iter().any(|given| given == key.name))
            .map(|key| key.written)
            .collect();
        if readable && !missing.is_empty() {
            let message =
                format!("say what this aggregate is: add `#[aggregate({})]`", missing.join(", "));
            faults.at(&input.ident, message);
        }
        aggregate
    }
}

/// A method of this name would be the one that is being written, which then calls itself.
fn check_apply(path: &Path, faults: &mut Faults) {
    let mut segments = path.segments.iter().rev();
    let last = segments.next().is_some_and(|last| last.ident == "apply");
    let of_type = segments.next().is_some_and(|segment| {
        segment.ident.to_string().starts_with(|first: char| first.is_uppercase())
    });
    if last && of_type {
        let message = "give the function another name, such as `on`: this may be `Aggregate::apply`, \
                       which would call itself";
        faults.at(path, message);
    }
}

fn read_snapshot(
    key: &Ident,
    input: syn::parse::ParseStream<'_>,
    faults: &mut Faults,
) -> syn::Result<(Option<Expr>, Option<Expr>)> {
    let tokens = list(key, input, TokenStream::parse)?;
    let (mut every, mut version) = (None, None);
    let before = faults.count();
    SNAPSHOT.read_arguments(tokens, faults, |key, input, _| {
        match key.to_string().as_str() {
            "every" => every = Some(value(key, input)?),
            _ => version = Some(value(key, input)?),
        }
        Ok(())
    });
    if every.is_none() && before == faults.count() {
        faults.at(key, "write `snapshot(every = 100)`");
    }
    Ok((every, version))
}
