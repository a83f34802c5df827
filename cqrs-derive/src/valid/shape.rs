//! What kind of item a derive takes.

use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Type};

use crate::fault::Faults;

/// Refuses type parameters and lifetimes: `what` names one thing, and has one name.
pub(crate) fn not_generic(input: &DeriveInput, what: &str, faults: &mut Faults) {
    if let Some(parameter) = input.generics.params.first() {
        let message = format!("{what} has one name, so its type has no parameters");
        faults.at(parameter, message);
    }
}

/// Refuses unions.
pub(crate) fn not_union(input: &DeriveInput, what: &str, faults: &mut Faults) {
    if let Data::Union(data) = &input.data {
        faults.at(data.union_token, format!("{what} is a struct or an enum, not a union"));
    }
}

/// Whether a type is a number, a truth value or a text, as far as its name tells.
pub(crate) fn is_scalar(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|last| {
        let name = last.ident.to_string();
        is_number(&name) || ["bool", "char", "String"].contains(&name.as_str())
    })
}

/// Whether this is what Rust calls a number.
pub(crate) fn is_number(name: &str) -> bool {
    let size = name.strip_prefix(['u', 'i', 'f']).unwrap_or_default();
    size == "size" || size.parse::<u8>().is_ok_and(|size| size.is_power_of_two() && size >= 8)
}

/// Refuses an event whose body would have no field.
pub(crate) fn not_bare(fields: &Fields, faults: &mut Faults) {
    if let Fields::Unnamed(unnamed) = fields
        && let [only] = Vec::from_iter(&unnamed.unnamed)[..]
        && is_scalar(&only.ty)
    {
        faults.near(&unnamed.span(), "name this field: the body of an event is an object");
    }
}

/// Refuses fields that the log could not tell apart in a later version.
pub(crate) fn recordable(fields: &Fields, faults: &mut Faults) {
    if let Fields::Unnamed(unnamed) = fields
        && unnamed.unnamed.len() != 1
    {
        let message = "name these fields: their names are what a later version tells them apart by";
        faults.near(&unnamed.span(), message);
    }
}
