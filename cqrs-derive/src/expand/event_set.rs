//! `EventSet`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::event_set::EventSet;
use crate::core_path::{core_path, local, placed_at};

/// Writes the implementation.
pub(crate) fn expand(set: &EventSet<'_>) -> TokenStream {
    let core = core_path(set.core.as_ref());
    let EventSet { ident, variants, .. } = set;
    let (event, raw, kind) = (local("event"), local("raw"), local("event_type"));
    let each: Vec<_> = variants
        .iter()
        .map(|(_, ty)| quote_spanned!(placed_at(ty.span())=> <#ty as #core::EventSet>))
        .collect();
    let decode = variants.iter().zip(&each).map(|((variant, _), each)| {
        quote! {
            if let ::core::option::Option::Some(#event) = #each::from_raw(#raw) {
                return ::core::option::Option::Some(#event.map(Self::#variant));
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #core::EventSet for #ident {
            fn types() -> ::std::vec::Vec<#core::EventType> {
                [#(#each::types()),*].concat()
            }

            fn problems() -> ::std::vec::Vec<#core::Problem> {
                [#(#each::problems()),*].concat()
            }

            fn schema(#kind: &str) -> ::core::option::Option<#core::check::Value> {
                ::core::option::Option::None
                    #(.or_else(|| #each::schema(#kind)))*
            }

            fn from_raw(
                #raw: #core::Raw<'_>,
            ) -> ::core::option::Option<::core::result::Result<Self, #core::BoxError>> {
                #(#decode)*
                ::core::option::Option::None
            }
        }
    }
}
