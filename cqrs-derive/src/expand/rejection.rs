//! `Rejection`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{LitStr, Member, Type};

use crate::ast::rejection::{Case, Rejection, Says};
use crate::core_path::{core_path, local, placed_at};
use crate::expand::given;

/// What a transparent case holds.
const HELD: &str = "inner";

/// Writes the implementation.
pub(crate) fn expand(rejection: &Rejection<'_>) -> TokenStream {
    let core = core_path(rejection.core.as_ref());
    let Rejection { ident, generics, cases, .. } = rejection;
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let code = matched(cases.iter().map(|case| {
        let pattern = pattern(case);
        match &case.says {
            Says::Itself { code, .. } => {
                let code = given(code.as_ref());
                quote!(#pattern => #code)
            }
            Says::Inner { ty, .. } => {
                let inner = as_rejection(ty, &core);
                let held = local(HELD);
                quote!(#pattern => #inner::code(#held))
            }
        }
    }));
    let (field, codes) = (field(cases, &core), codes(cases, &core));
    quote! {
        #[automatically_derived]
        impl #parameters #core::Rejection for #ident #arguments #bounds {
            fn code(&self) -> &'static str {
                #code
            }

            #field

            fn codes() -> &'static [&'static str] {
                #codes
            }
        }
    }
}

fn as_rejection(ty: &Type, core: &TokenStream) -> TokenStream {
    quote_spanned!(placed_at(ty.span())=> <#ty as #core::Rejection>)
}

/// A match over `self`. A type without variants has no values, and nothing to match a reference by.
fn matched(arms: impl Iterator<Item = TokenStream>) -> TokenStream {
    let arms: Vec<_> = arms.collect();
    match arms.is_empty() {
        true => quote!(match *self {}),
        false => quote!(match self { #(#arms,)* }),
    }
}

fn pattern(case: &Case<'_>) -> TokenStream {
    let path = match case.variant {
        Some(variant) => quote!(Self::#variant),
        None => quote!(Self),
    };
    match &case.says {
        Says::Itself { .. } => quote!(#path { .. }),
        Says::Inner { member, .. } => held(&path, member),
    }
}

fn held(path: &TokenStream, member: &Member) -> TokenStream {
    let held = local(HELD);
    quote!(#path { #member: #held })
}

/// The method, where a case names a field.
fn field(cases: &[Case<'_>], core: &TokenStream) -> Option<TokenStream> {
    let arms: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let pattern = pattern(case);
            match &case.says {
                Says::Itself { field, .. } => {
                    let field = field.as_ref()?;
                    Some(quote!(#pattern => ::core::option::Option::Some(#field)))
                }
                Says::Inner { ty, .. } => {
                    let inner = as_rejection(ty, core);
                    let held = local(HELD);
                    Some(quote!(#pattern => #inner::field(#held)))
                }
            }
        })
        .collect();
    if arms.is_empty() {
        return None;
    }
    let rest = (arms.len() < cases.len()).then(|| quote!(_ => ::core::option::Option::None,));
    Some(quote! {
        fn field(&self) -> ::core::option::Option<&str> {
            match self { #(#arms,)* #rest }
        }
    })
}

fn codes(cases: &[Case<'_>], core: &TokenStream) -> TokenStream {
    let own: Vec<&LitStr> = cases
        .iter()
        .filter_map(|case| match &case.says {
            Says::Itself { code, .. } => code.as_ref(),
            Says::Inner { .. } => None,
        })
        .collect();
    let inner: Vec<_> = cases
        .iter()
        .filter_map(|case| match &case.says {
            Says::Itself { .. } => None,
            Says::Inner { ty, .. } => Some(as_rejection(ty, core)),
        })
        .collect();
    match (own.as_slice(), inner.as_slice()) {
        (own, []) => quote!(&[#(#own),*]),
        ([], [one]) => quote!(#one::codes()),
        (own, inner) => quote! {
            static CODES: ::std::sync::LazyLock<::std::vec::Vec<&'static str>> =
                ::std::sync::LazyLock::new(|| [&[#(#own),*] as &[_] #(, #inner::codes())*].concat());
            &CODES
        },
    }
}
