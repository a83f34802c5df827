//! `Aggregate`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::aggregate::Aggregate;
use crate::core_path::{core_path, local, placed_at};
use crate::expand::given;

/// Writes the implementation.
pub(crate) fn expand(aggregate: &Aggregate<'_>) -> TokenStream {
    let core = core_path(aggregate.core.as_ref());
    let Aggregate { ident, category, id, event, apply, every, version, .. } = aggregate;
    let (category, id) = (given(category.as_ref()), given(id.as_ref()));
    let (event, taken) = (given(event.as_ref()), local("event"));
    let blamed = apply.as_ref().map_or(ident.span(), Spanned::span);
    let mut argument = taken.clone();
    argument.set_span(taken.span().located_at(blamed));
    let (note, apply) = match apply {
        Some(path) => {
            let call = quote_spanned!(placed_at(blamed)=> (self, #argument));
            (None, quote!(#path #call))
        }
        // Any other method is taken before the note's, which cannot be called and says why.
        None => (
            Some(quote! {
                #[allow(unused_imports, reason = "it says what to write where `on` is missing")]
                use #core::check::NeedsOn as _;
            }),
            quote_spanned!(placed_at(blamed)=> self.on(#argument)),
        ),
    };
    let storage = match every {
        _ if aggregate.document => Some(quote!(document())),
        Some(every) => {
            let version = version.as_ref().map(|version| quote!(.version(#version)));
            Some(quote!(snapshots(#every) #version))
        }
        None => None,
    };
    let storage = storage.map(|storage| {
        quote! {
            fn storage() -> #core::Storage<Self> {
                #core::Storage::#storage
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #core::Aggregate for #ident {
            const CATEGORY: &'static str = #category;
            type Id = #id;
            type Event = #event;

            fn apply(&mut self, #taken: &Self::Event) {
                #note
                #apply
            }

            #storage
        }
    }
}
