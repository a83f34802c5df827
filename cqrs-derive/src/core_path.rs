//! What the user's package calls `cqrs-core`.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Path;

/// The path of the crate, whatever name the package that uses the macro gave it.
///
/// A package that has it from elsewhere than from its manifest has it under its own name, or says
/// where it is.
pub(crate) fn core_path(written: Option<&Path>) -> TokenStream {
    if let Some(path) = written {
        return of_macro(path.clone()).into_token_stream();
    }
    match crate_name("cqrs-core") {
        Ok(FoundCrate::Name(name)) => {
            let name = Ident::new(&name, Span::call_site());
            quote!(::#name)
        }
        // `Itself`: an example in the docs of the crate, where `crate` is the example.
        Ok(FoundCrate::Itself) | Err(_) => quote!(::cqrs_core),
    }
}

/// A path as if the macro had written it, so that the user's lints are silent about it. `$crate` says
/// by its own span which crate it is.
fn of_macro(mut path: Path) -> Path {
    for segment in path.segments.iter_mut().filter(|segment| segment.ident != "$crate") {
        segment.ident.set_span(placed_at(segment.ident.span()));
    }
    path
}

/// A variable of what a macro writes. Hygiene keeps the user's functions and variables out, the name
/// keeps the user's constants out, which a pattern would take for a value.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(&format!("__{name}"), Span::mixed_site())
}

/// The place of the user's token, with the names of the macro: errors point at the token, and lints
/// know that a macro wrote the code.
pub(crate) fn placed_at(token: Span) -> Span {
    Span::call_site().located_at(token)
}
