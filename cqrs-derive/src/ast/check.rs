//! `#[check(..)]` at the fields of a request.

use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Expr, ExprRange, Field, Index, Lit, Member, RangeLimits, Type, UnOp};

use crate::ast::serde_name;
use crate::attr::{Key, Keys, value};
use crate::fault::Faults;
use crate::plain;
use crate::valid::shape::{self, Kind};

/// What is measured of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The characters of a text.
    Chars,
    /// The items of a list.
    Items,
    /// The value itself.
    Range,
}

/// One bound of a field.
pub(crate) struct Check {
    pub(crate) member: Member,
    /// What the caller calls the field.
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// Whether the field is an `Option`, of which only the value is checked.
    pub(crate) optional: bool,
    pub(crate) measure: Measure,
    pub(crate) range: ExprRange,
}

const KEYS: Keys = Keys {
    attribute: "check",
    written: "#[check(..)]",
    keys: &[
        Key::once("chars", "chars = 1..=200"),
        Key::once("items", "items = ..=10"),
        Key::once("range", "range = 0..=100"),
    ],
};

/// The checks of all fields.
pub(crate) fn read(input: &DeriveInput, faults: &mut Faults) -> Vec<Check> {
    let mut checks = Vec::new();
    match &input.data {
        Data::Struct(data) => {
            let rename_all = serde_name::fields_renamed(&input.attrs);
            for (n, field) in data.fields.iter().enumerate() {
                read_field(n, field, rename_all, &mut checks, faults);
            }
        }
        Data::Enum(data) => {
            let fields = data.variants.iter().flat_map(|variant| &variant.fields);
            for attr in fields.flat_map(|field| &field.attrs) {
                if attr.path().is_ident("check") {
                    faults.at(attr, "checks stand at the fields of a struct: use `validate = ..`");
                }
            }
        }
        Data::Union(_) => {}
    }
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("check")) {
        faults.at(attr, "a check stands at the field that it checks");
    }
    checks
}

fn read_field(
    n: usize,
    field: &Field,
    rename_all: Option<serde_name::Rule>,
    checks: &mut Vec<Check>,
    faults: &mut Faults,
) {
    let member = match &field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index::from(n)),
    };
    let inner = inner_of_option(&field.ty);
    let checked = inner.unwrap_or(plain::ty(&field.ty));
    let before = (checks.len(), faults.count());
    KEYS.read(&field.attrs, faults, |key, input, faults| {
        let measure = match key.to_string().as_str() {
            "chars" => Measure::Chars,
            "items" => Measure::Items,
            _ => Measure::Range,
        };
        let written = value::<Expr>(key, input)?;
        let range = match plain::expr(&written) {
            Expr::Range(range) => range.clone(),
            other => return Err(syn::Error::new(other.span(), "not a range")),
        };
        check_range(&range, faults);
        check_type(measure, checked, faults);
        checks.push(Check {
            member: member.clone(),
            name: serde_name::field_name(n, field, rename_all),
            ty: checked.clone(),
            optional: inner.is_some(),
            measure,
            range,
        });
        Ok(())
    });
    if let Some(attr) = field.attrs.iter().find(|attr| attr.path().is_ident("check"))
        && (checks.len(), faults.count()) == before
    {
        faults.at(attr, "say what is checked: `#[check(chars = 1..=200)]`");
    }
}

/// Refuses ranges that every value is in, or none.
fn check_range(range: &ExprRange, faults: &mut Faults) {
    let (start, end) = (range.start.as_deref(), range.end.as_deref());
    if start.is_none() && end.is_none() {
        return faults.at(range, "every value is in this range: give it a bound");
    }
    if let (Some(start), Some(end)) = (start.and_then(whole), end.and_then(whole)) {
        let empty = match range.limits {
            RangeLimits::HalfOpen(_) => start >= end,
            RangeLimits::Closed(_) => start > end,
        };
        if empty {
            faults.at(range, "no value is in this range");
        }
    }
}

/// Refuses what is plainly of another kind.
fn check_type(measure: Measure, ty: &Type, faults: &mut Faults) {
    let message = match (measure, shape::kind(ty)) {
        (Measure::Chars, Some(Kind::Number)) => {
            "`chars` counts the characters of a text: use `range`"
        }
        (Measure::Chars, Some(Kind::List | Kind::Map)) => {
            "`chars` counts the characters of a text: use `items`"
        }
        (Measure::Items, Some(Kind::Number)) => "`items` counts the items of a list: use `range`",
        (Measure::Items, Some(Kind::Text)) => "`items` counts the items of a list: use `chars`",
        (Measure::Range, Some(Kind::Text)) => "`range` compares values: use `chars` for a text",
        (Measure::Range, Some(Kind::List | Kind::Map)) => {
            "`range` compares values: use `items` for a list"
        }
        _ => return,
    };
    faults.at(ty, message);
}

/// The value of a whole number that is written out.
pub(crate) fn whole(bound: &Expr) -> Option<i128> {
    match plain::expr(bound) {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(int) => int.base10_parse().ok(),
            _ => None,
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            whole(&unary.expr).and_then(i128::checked_neg)
        }
        _ => None,
    }
}

fn inner_of_option(ty: &Type) -> Option<&Type> {
    let last = plain::last_segment(ty)?;
    if last.ident == "Option" { plain::argument(last) } else { None }
}
