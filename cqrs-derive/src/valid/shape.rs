//! What kind of item a derive takes.

use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields};

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

/// Refuses fields that the log could not tell apart in a later version.
pub(crate) fn recordable(fields: &Fields, faults: &mut Faults) {
    if let Fields::Unnamed(unnamed) = fields
        && unnamed.unnamed.len() != 1
    {
        let message = "name these fields: their names are what a later version tells them apart by";
        faults.near(&unnamed.span(), message);
    }
}
