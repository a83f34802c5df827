//! Parameters of handlers, as far as their types tell by how they are written.

use quote::ToTokens;
use syn::Type;

use crate::ast::handler::Role;
use crate::fault::Faults;
use crate::plain;

/// Parameters that a handler has at most, beside the first one.
const LIMIT: usize = 6;

/// Checks the first parameter.
pub(crate) fn input(role: Role, ty: &Type, faults: &mut Faults) {
    let what = role.input();
    match plain::ty(ty) {
        Type::Reference(reference) => {
            let owned = written(&reference.elem);
            let message = format!("the first parameter is {what} by value: `{owned}`");
            faults.at(ty, message);
        }
        Type::ImplTrait(_) => faults.at(ty, format!("name the type of {what}")),
        _ => {
            if let Some(last) = plain::last_segment(ty)
                && last.ident == "Envelope"
            {
                let inner = plain::argument(last).map_or_else(String::new, |inner| {
                    let inner = written(inner);
                    format!(": `{inner}`")
                });
                let message = format!(
                    "the first parameter is {what} itself{inner}. Its metadata is a parameter of \
                     type `Metadata`"
                );
                faults.at(ty, message);
            }
        }
    }
}

/// Checks the other parameters.
pub(crate) fn others(role: Role, types: &[&Type], faults: &mut Faults) {
    for ty in types {
        match plain::ty(ty) {
            Type::Reference(reference) => {
                let owned = written(&reference.elem);
                let message = format!(
                    "a handler owns its parameters: `Res<{owned}>` for a resource of your own"
                );
                faults.at(ty, message);
            }
            Type::ImplTrait(_) => faults.at(ty, "name the type: it says what is injected"),
            _ => {
                let work = plain::last_segment(ty).is_some_and(|last| last.ident == "Work");
                if role == Role::Query && work {
                    let message = "the handler of a query only reads: take a `Repository<A>` or \
                                   `Documents<T>`, or make the request a command";
                    faults.at(ty, message);
                }
            }
        }
    }
    if let Some(ty) = types.get(LIMIT) {
        let message = format!(
            "a handler has at most {LIMIT} parameters beside the first: put resources together \
             into one struct"
        );
        faults.at(ty, message);
    }
}

/// A type as a person writes it.
fn written(ty: &Type) -> String {
    let mut text = plain::ty(ty).to_token_stream().to_string();
    for (spaced, plain) in [(" :: ", "::"), (" < ", "<"), (" >", ">"), (" ,", ","), ("& ", "&")] {
        text = text.replace(spaced, plain);
    }
    text
}
