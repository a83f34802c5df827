//! Types and expressions as they are meant: without the invisible group that `macro_rules!` puts
//! around what it was given, and without parentheses.

use syn::{Expr, GenericArgument, PathArguments, PathSegment, Type};

/// The type itself.
pub(crate) fn ty(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            _ => return ty,
        };
    }
}

/// The expression itself.
pub(crate) fn expr(mut expr: &Expr) -> &Expr {
    loop {
        expr = match expr {
            Expr::Group(group) => &group.expr,
            Expr::Paren(paren) => &paren.expr,
            _ => return expr,
        };
    }
}

/// The last segment of a type that is a path.
pub(crate) fn last_segment(of: &Type) -> Option<&PathSegment> {
    match ty(of) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The first type among the arguments of a segment: the `str` of `Cow<'a, str>`.
pub(crate) fn argument(segment: &PathSegment) -> Option<&Type> {
    arguments(segment).next()
}

/// All types among the arguments of a segment.
pub(crate) fn arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        PathArguments::None | PathArguments::Parenthesized(_) => None,
    };
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(inner) => Some(ty(inner)),
        _ => None,
    })
}
