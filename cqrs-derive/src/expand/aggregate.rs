//! `Aggregate`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::aggregate::Aggregate;
use crate::core_path::{core_path, placed_at};
use crate::expand::given;

/// Writes the implementation.
pub(crate) fn expand(aggregate: &Aggregate<'_>) -> TokenStream {
    let core = core_path();
    let Aggregate { ident, category, id, event, apply, every, version, .. } = aggregate;
    let (category, id) = (given(category.as_ref()), given(id.as_ref()));
    let event = given(event.as_ref());
    let (note, apply) = match apply {
        Some(path) => {
            let call = quote_spanned!(placed_at(path.span())=> (self, event));
            (None, quote!(#path #call))
        }
        // An inherent method is taken before the note's, which cannot be called and says why.
        None => (
            Some(quote! {
                #[allow(unused_imports, reason = "it says what to write where `on` is missing")]
                use #core::check::NeedsOn as _;
            }),
            quote_spanned!(placed_at(ident.span())=> Self::on(self, event)),
        ),
    };
    let storage = every.as_ref().map(|every| {
        let version = version.as_ref().map(|version| quote!(.version(#version)));
        quote! {
            fn storage() -> #core::Storage<Self> {
                #core::Storage::snapshots(#every) #version
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #core::Aggregate for #ident {
            const CATEGORY: &'static str = #category;
            type Id = #id;
            type Event = #event;

            fn apply(&mut self, event: &Self::Event) {
                #note
                #apply
            }

            #storage
        }
    }
}
