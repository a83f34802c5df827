//! `Request`, and `Command` or `Query`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::request::Request;
use crate::core_path::{core_path, local, placed_at};
use crate::expand::{check, given};

/// Writes the implementations, and what the discovery finds.
pub(crate) fn expand(request: &Request<'_>) -> TokenStream {
    let core = core_path(request.core.as_ref());
    let Request { kind, ident, .. } = request;
    let kind = Ident::new(kind.name(), placed_at(ident.span()));
    let name = given(request.name.as_ref());
    let (output, error) = answers(request, &core);
    let version = (request.version != 1).then(|| {
        let version = request.version;
        quote!(const VERSION: u16 = #version;)
    });
    let visibility = request.visibility.map(|visibility| {
        let visibility = Ident::new(visibility, placed_at(ident.span()));
        quote!(const VISIBILITY: #core::Visibility = #core::Visibility::#visibility;)
    });
    let wire = (!request.local).then(|| wire(request, &core));
    let validate = check::validate(request, &core);
    let again = (!request.run_once).then(|| again(request, &core));
    let app = local("app");
    let discovered =
        (!request.shared).then(|| quote!(#core::discovered!(|#app| #app.expects::<#ident>());));
    quote! {
        #[automatically_derived]
        impl #core::Request for #ident {
            const NAME: &'static str = #name;
            const KIND: #core::RequestKind = #core::RequestKind::#kind;
            #version
            #visibility
            type Output = #output;
            type Error = #error;
            #wire
            #validate
            #again
        }

        #[automatically_derived]
        impl #core::#kind for #ident {}

        #discovered
    }
}

/// The types of the output and of the error.
pub(crate) fn answers(request: &Request<'_>, core: &TokenStream) -> (TokenStream, TokenStream) {
    let output = request.output.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let error = request.error.as_ref();
    let error = error.map_or_else(|| quote!(#core::Never), ToTokens::to_token_stream);
    (output, error)
}

/// Where a type has no wire form, that is the one fault: the check says it, at the type.
fn wire(request: &Request<'_>, core: &TokenStream) -> TokenStream {
    let ident = request.ident;
    let schema = request.schema.then(|| quote!(.with_schema()));
    let (output, error) = answers(request, core);
    let held = [quote!(#ident), output, error].map(|ty| check(core, "travels", &ty));
    quote! {
        fn wire() -> ::core::option::Option<#core::Wire<Self>> {
            const __HELD: bool = #(#held)&*;
            ::core::option::Option::Some(
                <#core::check::Checked<#core::Wire<#ident>, { __HELD }>>::json() #schema
            )
        }
    }
}

fn again(request: &Request<'_>, core: &TokenStream) -> TokenStream {
    let ident = request.ident;
    let held = check(core, "copied", ident);
    quote! {
        fn again(&self) -> ::core::option::Option<Self> {
            const __HELD: bool = #held;
            ::core::option::Option::Some(
                <#core::check::Checked<#ident, { __HELD }> as ::core::clone::Clone>::clone(self)
            )
        }
    }
}

/// A call of one of the checks, at the user's type.
fn check(core: &TokenStream, name: &str, ty: impl ToTokens) -> TokenStream {
    let at = placed_at(ty.span());
    let name = Ident::new(name, at);
    quote_spanned!(at=> #core::check::#name::<#ty>())
}
