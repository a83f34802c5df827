//! `Schema`, and `Entity`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::schema::{Field, Schema, Shape};
use crate::core_path::{core_path, placed_at};

/// Writes the implementations.
pub(crate) fn expand(schema: &Schema<'_>) -> TokenStream {
    let core = core_path(schema.core.as_ref());
    let ident = schema.ident;
    let described = match &schema.shape {
        Shape::Struct(fields) => {
            let fields = fields.iter().map(|field| expand_field(field, &core));
            quote! {
                #core::FieldType::structure(::core::any::type_name::<Self>(), || {
                    ::std::vec![#(#fields),*]
                })
            }
        }
        Shape::Same(ty) => {
            let place = placed_at(ty.span());
            quote_spanned!(place=> <#ty as #core::Schema>::field_type())
        }
        Shape::Names => quote!(#core::FieldType::Text),
        Shape::Json => quote!(#core::FieldType::Json),
    };
    let indexable = schema.indexable.then(|| {
        let inner = match &schema.shape {
            Shape::Same(ty) => Some(quote!(where #ty: #core::Indexable)),
            _ => None,
        };
        quote!(#[automatically_derived] impl #core::Indexable for #ident #inner {})
    });
    let entity = entity(schema, &core);
    quote! {
        #[automatically_derived]
        impl #core::Schema for #ident {
            fn field_type() -> #core::FieldType {
                #described
            }
        }
        #indexable
        #entity
    }
}

fn expand_field(field: &Field<'_>, core: &TokenStream) -> TokenStream {
    let (name, ty) = (&field.name, field.looks_like());
    let place = placed_at(ty.span());
    let of = match field.indexed || field.unique {
        true => quote_spanned!(place=> #core::check::indexed::<#ty>()),
        false => quote_spanned!(place=> <#ty as #core::Schema>::field_type()),
    };
    let column = field.column.as_ref().map(|column| quote!(.column(#column)));
    let may_miss = field.may_miss.then(|| quote!(.may_miss()));
    let index = match (field.indexed, field.unique) {
        (_, true) => Some(quote!(.unique())),
        (true, _) => Some(quote!(.indexed())),
        _ => None,
    };
    quote!(#core::Field::new(#name, #of)#column #may_miss #index)
}

fn entity(schema: &Schema<'_>, core: &TokenStream) -> Option<TokenStream> {
    let (collection, Shape::Struct(fields)) = (schema.collection.as_ref()?, &schema.shape) else {
        return None;
    };
    let (ident, version) = (schema.ident, u32::from(schema.version));
    let id = fields.iter().find(|field| field.is_id)?;
    let (id_name, id_ident) = (&id.name, id.ident);
    let key = quote_spanned!(placed_at(id.ty.span())=> #core::AggregateId::key(&self.#id_ident));
    let named = |wanted: fn(&&Field<'_>) -> bool, name: TokenStream| {
        let names: Vec<_> = fields.iter().filter(wanted).map(|field| &field.name).collect();
        (!names.is_empty()).then(|| quote!(const #name: &'static [&'static str] = &[#(#names),*];))
    };
    let indexed = named(|field| field.indexed, quote!(INDEXED));
    let unique = named(|field| field.unique, quote!(UNIQUE));
    Some(quote! {
        #[automatically_derived]
        impl #core::Entity for #ident {
            const COLLECTION: &'static str = #collection;
            #indexed
            #unique

            fn id(&self) -> ::std::string::String {
                #key
            }

            fn mapping() -> ::core::option::Option<#core::Mapping> {
                ::core::option::Option::Some(
                    #core::Mapping::new(#version, <Self as #core::Schema>::field_type().into_fields())
                        .id(#id_name),
                )
            }
        }
    })
}
