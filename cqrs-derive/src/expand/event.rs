//! `Event`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Index, Member};

use crate::ast::event::{Event, Type};
use crate::core_path::{core_path, local, placed_at};
use crate::expand::given;
use crate::valid::tag::Tag;

/// Writes the implementation.
pub(crate) fn expand(event: &Event<'_>) -> TokenStream {
    let core = core_path(event.core.as_ref());
    let Event { ident, types, .. } = event;
    let list = types.iter().map(|kind| {
        let (name, variant) = (given(kind.name.as_ref()), &kind.serde_name);
        let version = (kind.version != 1).then(|| {
            let version = kind.version;
            quote!(.at_version(#version))
        });
        quote!(#core::EventType::new(#name, #variant) #version)
    });
    let upcasters = upcasters(types, &core);
    let event_type = event_type(types);
    let tags = tags(types);
    let schema = event.schema.then(|| {
        let kind = local("event_type");
        quote! {
            fn schema(#kind: &#core::EventType) -> ::core::option::Option<#core::check::Value> {
                #core::event_schema::<Self>(#kind)
            }
        }
    });
    // A constant of its own: `Self::TYPES` would repeat every fault of the type's other traits.
    quote! {
        const _: () = {
            const __TYPES: &[#core::EventType] = &[#(#list),*];

            #[automatically_derived]
            impl #core::Event for #ident {
                const TYPES: &'static [#core::EventType] = __TYPES;
                #upcasters

                fn event_type(&self) -> &'static #core::EventType {
                    #event_type
                }

                #tags

                #schema
            }
        };
    }
}

fn upcasters(types: &[Type<'_>], core: &TokenStream) -> Option<TokenStream> {
    if types.iter().all(|kind| kind.upcasts.is_empty()) {
        return None;
    }
    let list = types.iter().flat_map(|kind| {
        let name = given(kind.name.as_ref());
        kind.upcasts.iter().map(move |upcast| {
            let (from, lift) = (upcast.from, &upcast.lift);
            // A function of another type is a fault of the path, not of the table.
            let lift = quote_spanned!(lift.span()=> #lift);
            quote!(#core::Upcaster { event_type: #name, from: #from, lift: #lift })
        })
    });
    Some(quote!(const UPCASTERS: &'static [#core::Upcaster] = &[#(#list),*];))
}

fn event_type(types: &[Type<'_>]) -> TokenStream {
    let arms = types.iter().enumerate().filter_map(|(n, kind)| {
        let (variant, n) = (kind.variant?, Index::from(n));
        Some(quote!(Self::#variant { .. } => &__TYPES[#n]))
    });
    let arms: Vec<_> = arms.collect();
    match arms.is_empty() {
        true => quote!(&__TYPES[0]),
        false => quote!(match self { #(#arms),* }),
    }
}

fn tags(types: &[Type<'_>]) -> Option<TokenStream> {
    let tagged: Vec<_> = types.iter().filter(|kind| !kind.tags.is_empty()).collect();
    if tagged.is_empty() {
        return None;
    }
    let arms = tagged.iter().map(|kind| {
        let mut members: Vec<&Member> = Vec::new();
        for member in kind.tags.iter().flat_map(|tag| &tag.members) {
            if !members.contains(&member) {
                members.push(member);
            }
        }
        let path = match kind.variant {
            Some(variant) => quote!(Self::#variant),
            None => quote!(Self),
        };
        let bound = members.iter().map(|member| {
            let name = binding(member);
            quote!(#member: #name)
        });
        let texts = kind.tags.iter().map(|Tag { format, members }| match members.is_empty() {
            true => quote!(::std::format!(#format)),
            false => {
                let names = members.iter().map(binding);
                quote!(::std::format!(#format #(, #names)*))
            }
        });
        quote!(#path { #(#bound,)* .. } => ::std::vec![#(#texts),*])
    });
    let rest = (tagged.len() < types.len()).then(|| quote!(_ => ::std::vec::Vec::new(),));
    Some(quote! {
        fn tags(&self) -> ::std::vec::Vec<::std::string::String> {
            match self { #(#arms,)* #rest }
        }
    })
}

/// A local name for a field, which no constant of the user's can take.
fn binding(member: &Member) -> Ident {
    match member {
        Member::Named(name) => Ident::new(
            &format!("field_{}", crate::valid::tag::unraw(name)),
            placed_at(name.span()).resolved_at(Span::mixed_site()),
        ),
        Member::Unnamed(index) => Ident::new(&format!("field_{}", index.index), Span::mixed_site()),
    }
}
