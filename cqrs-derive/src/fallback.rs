//! Stubs: what a faulty item gets, so that the code around it sees no second error.
//!
//! They are never run, for the faults stand beside them.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Generics, parse_quote};

use crate::ast::aggregate::Aggregate;
use crate::ast::event::Event;
use crate::ast::event_set::EventSet;
use crate::ast::rejection::Rejection;
use crate::ast::request::Request;
use crate::ast::schema::Schema;
use crate::core_path::core_path;
use crate::expand::request::answers;

/// A request without checks and without a wire form.
pub(crate) fn request(request: &Request<'_>) -> TokenStream {
    let core = core_path(request.core.as_ref());
    let kind = Ident::new(request.kind.name(), request.ident.span());
    let (output, error) = answers(request, &core);
    let bound = quote!(::core::marker::Send + ::core::marker::Sync + 'static);
    let owned = bounded(request.generics, &bound);
    let head = |of: TokenStream| head(&owned, &of, request.ident);
    let (request, marker) = (head(quote!(#core::Request)), head(quote!(#core::#kind)));
    quote! {
        #request {
            const NAME: &'static str = "faulty";
            const KIND: #core::RequestKind = #core::RequestKind::#kind;
            type Output = #output;
            type Error = #error;
        }
        #marker {}
    }
}

/// An event without types.
pub(crate) fn event(event: &Event<'_>) -> TokenStream {
    let core = core_path(event.core.as_ref());
    let generics = bounded(event.generics, &quote!(#core::check::Recordable));
    let head = head(&generics, &quote!(#core::Event), event.ident);
    quote! {
        #head {
            const TYPES: &'static [#core::EventType] = &[];
            fn event_type(&self) -> &'static #core::EventType { ::core::unimplemented!() }
        }
    }
}

/// A set without events.
pub(crate) fn event_set(set: &EventSet<'_>) -> TokenStream {
    let core = core_path(set.core.as_ref());
    let bound = quote!(::core::marker::Send + ::core::marker::Sync + 'static);
    let head = head(&bounded(set.generics, &bound), &quote!(#core::EventSet), set.ident);
    quote! {
        #head {
            fn types() -> ::std::vec::Vec<#core::EventType> { ::core::unimplemented!() }
            fn problems() -> ::std::vec::Vec<#core::Problem> { ::core::unimplemented!() }
            fn from_raw(
                _: #core::Raw<'_>,
            ) -> ::core::option::Option<::core::result::Result<Self, #core::BoxError>> {
                ::core::unimplemented!()
            }
        }
    }
}

/// A rejection without a code.
pub(crate) fn rejection(rejection: &Rejection<'_>) -> TokenStream {
    let core = core_path(rejection.core.as_ref());
    let head = head(rejection.generics, &quote!(#core::Rejection), rejection.ident);
    quote! {
        #head {
            fn code(&self) -> &'static str { ::core::unimplemented!() }
        }
    }
}

/// An aggregate that takes in nothing.
pub(crate) fn aggregate(aggregate: &Aggregate<'_>) -> TokenStream {
    let core = core_path(aggregate.core.as_ref());
    let bound =
        quote!(::core::default::Default + ::core::marker::Send + ::core::marker::Sync + 'static);
    let generics = bounded(aggregate.generics, &bound);
    let head = head(&generics, &quote!(#core::Aggregate), aggregate.ident);
    let or =
        |key: Option<&syn::Type>, stub: TokenStream| key.map_or(stub, ToTokens::to_token_stream);
    let id = or(aggregate.id.as_ref(), quote!(::std::string::String));
    let event = or(aggregate.event.as_ref(), quote!(#core::check::NoEvent));
    quote! {
        #head {
            const CATEGORY: &'static str = "faulty";
            type Id = #id;
            type Event = #event;
            fn apply(&mut self, _: &Self::Event) {}
        }
    }
}

/// A schema that says nothing.
pub(crate) fn schema(schema: &Schema<'_>) -> TokenStream {
    let core = core_path(schema.core.as_ref());
    let described = head(schema.generics, &quote!(#core::Schema), schema.ident);
    let indexable = head(schema.generics, &quote!(#core::Indexable), schema.ident);
    let entity = schema.collection.as_ref().map(|_| {
        let bound = quote!(#core::check::Recordable + ::core::marker::Send + ::core::marker::Sync);
        let head = head(&bounded(schema.generics, &bound), &quote!(#core::Entity), schema.ident);
        quote! {
            #head {
                const COLLECTION: &'static str = "faulty";
                fn id(&self) -> ::std::string::String { ::core::unimplemented!() }
            }
        }
    });
    quote! {
        #described {
            fn field_type() -> #core::FieldType { ::core::unimplemented!() }
        }
        #indexable {}
        #entity
    }
}

/// The parameters of a type that should have none, with what the trait asks of the type.
fn bounded(generics: &Generics, bound: &TokenStream) -> Generics {
    let mut generics = generics.clone();
    if !generics.params.is_empty() {
        generics.make_where_clause().predicates.push(parse_quote!(Self: #bound));
    }
    generics
}

fn head(generics: &Generics, of: &TokenStream, ident: &Ident) -> TokenStream {
    let (parameters, arguments, bounds) = generics.split_for_impl();
    quote!(#[automatically_derived] impl #parameters #of for #ident #arguments #bounds)
}
