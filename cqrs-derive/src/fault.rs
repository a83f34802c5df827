//! The faults of one item, gathered so that all of them are reported at once.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::spanned::Spanned;

/// What is wrong with an item, each fault at the token that is to blame.
#[derive(Default)]
pub(crate) struct Faults {
    errors: Option<syn::Error>,
    count: usize,
}

impl Faults {
    /// Adds a fault of these tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds a fault at the place of something that stands for more tokens than are to blame.
    pub(crate) fn near(&mut self, place: &impl Spanned, message: impl Display) {
        self.push(syn::Error::new(place.span(), message));
    }

    /// Adds what a parser found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.count += 1;
        match &mut self.errors {
            Some(all) => all.combine(error),
            None => self.errors = Some(error),
        }
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether there is nothing to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The compile errors.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.errors.map(syn::Error::into_compile_error).unwrap_or_default()
    }
}
