//! An enum of which each variant holds an event.

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Generics, Ident, Path, Type};

use crate::attr::{CRATE, Keys, module};
use crate::fault::Faults;
use crate::plain;
use crate::valid::shape;

const KEYS: Keys = Keys { attribute: "event_set", written: "#[event_set(..)]", keys: &[CRATE] };

/// A set of events.
pub(crate) struct EventSet<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    /// Where `cqrs-core` is, if that is said.
    pub(crate) core: Option<Path>,
    /// The variants, each with what it holds.
    pub(crate) variants: Vec<(&'a Ident, &'a Type)>,
}

impl<'a> EventSet<'a> {
    /// Reads an enum.
    pub(crate) fn read(input: &'a DeriveInput, faults: &mut Faults) -> Self {
        shape::not_generic(input, "a set of events", faults);
        let mut set = Self {
            ident: &input.ident,
            generics: &input.generics,
            core: None,
            variants: Vec::new(),
        };
        KEYS.read(&input.attrs, faults, |key, input, _| {
            set.core = Some(module(key, input)?);
            Ok(())
        });
        let Data::Enum(data) = &input.data else {
            faults.at(&input.ident, "a set of events is an enum: `enum Input { A(A), B(B) }`");
            return set;
        };
        if data.variants.is_empty() {
            faults.at(&input.ident, "a set of events has at least one variant");
        }
        for variant in &data.variants {
            match &variant.fields {
                Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                    set.push(&variant.ident, &fields.unnamed[0].ty, faults);
                }
                Fields::Unit => {
                    let ident = &variant.ident;
                    let message = format!("each variant holds one type of event: `{ident}(Type)`");
                    faults.at(ident, message);
                }
                fields => {
                    let ident = &variant.ident;
                    let message = format!("each variant holds one type of event: `{ident}(Type)`");
                    faults.near(&fields.span(), message);
                }
            }
        }
        set
    }

    fn push(&mut self, ident: &'a Ident, ty: &'a Type, faults: &mut Faults) {
        let ty = plain::ty(ty);
        let text = |ty: &Type| ty.to_token_stream().to_string();
        if self.variants.iter().any(|(_, other)| text(other) == text(ty)) {
            faults.at(ty, "this type is held by an earlier variant, which would take its events");
        }
        self.variants.push((ident, ty));
    }
}
