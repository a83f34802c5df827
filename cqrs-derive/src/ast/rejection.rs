//! `#[rejection(..)]` at an enum's variants, or at a struct.

use syn::{Attribute, Data, DeriveInput, Fields, Generics, Ident, Index, LitStr, Member, Type};

use crate::attr::{Key, Keys, value};
use crate::fault::Faults;
use crate::plain;
use crate::valid::{name, shape};

const KEYS: Keys = Keys {
    attribute: "rejection",
    written: "#[rejection(..)]",
    keys: &[
        Key::once("code", "code = \"learning.course_not_published\""),
        Key::once("field", "field = \"price_cents\""),
        Key::once("transparent", "transparent"),
    ],
};

/// A rejection and all that its attributes say.
pub(crate) struct Rejection<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    pub(crate) cases: Vec<Case<'a>>,
}

/// One way to be rejected.
pub(crate) struct Case<'a> {
    /// The variant; `None`: the rejection is a struct.
    pub(crate) variant: Option<&'a Ident>,
    pub(crate) says: Says<'a>,
}

/// Where the code comes from.
pub(crate) enum Says<'a> {
    Itself { code: Option<LitStr>, field: Option<LitStr> },
    Inner { member: Member, ty: &'a Type },
}

impl<'a> Rejection<'a> {
    /// Reads a type.
    pub(crate) fn read(input: &'a DeriveInput, faults: &mut Faults) -> Self {
        shape::not_union(input, "a rejection", faults);
        let cases = match &input.data {
            Data::Struct(data) => {
                vec![Case::read(&input.attrs, &input.ident, None, &data.fields, faults)]
            }
            Data::Enum(data) => {
                for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("rejection")) {
                    let message = "each variant has a `#[rejection(..)]` of its own, the enum none";
                    faults.at(attr, message);
                }
                let variants = data.variants.iter().map(|variant| {
                    let ident = &variant.ident;
                    Case::read(&variant.attrs, ident, Some(ident), &variant.fields, faults)
                });
                variants.collect()
            }
            Data::Union(_) => Vec::new(),
        };
        let rejection = Self { ident: &input.ident, generics: &input.generics, cases };
        rejection.check_transparent(faults);
        let mut seen = Vec::new();
        for code in rejection.cases.iter().filter_map(Case::code) {
            if seen.contains(&code.value()) {
                let message = format!("two variants have the code `{}`", code.value());
                faults.at(code, message);
            }
            seen.push(code.value());
        }
        rejection
    }

    /// The list of all codes is made once for all parameters, so it cannot depend on them.
    fn check_transparent(&self, faults: &mut Faults) {
        let inner = self.cases.iter().find_map(|case| match &case.says {
            Says::Inner { ty, .. } => Some(ty),
            Says::Itself { .. } => None,
        });
        if let Some(ty) = inner
            && self.cases.len() > 1
            && !self.generics.params.is_empty()
        {
            faults.at(ty, "a type with parameters has no transparent variants beside others");
        }
    }
}

impl<'a> Case<'a> {
    fn read(
        attrs: &[Attribute],
        ident: &Ident,
        variant: Option<&'a Ident>,
        fields: &'a Fields,
        faults: &mut Faults,
    ) -> Self {
        let (mut code, mut field, mut transparent, mut coded) = (None, None, None, false);
        let readable = KEYS.read(attrs, faults, |key, input, faults| {
            match key.to_string().as_str() {
                "code" => {
                    coded = true;
                    let literal = value(key, input)?;
                    name::name(&literal, faults);
                    code = Some(literal);
                }
                "field" => {
                    let literal: LitStr = value(key, input)?;
                    if literal.value().is_empty() {
                        faults.at(&literal, "a field has a name");
                    }
                    field = Some(literal);
                }
                _ => transparent = Some(key.clone()),
            }
            Ok(())
        });
        let Some(transparent) = transparent else {
            if readable && !coded {
                let written = KEYS.keys[0].written;
                let message = format!("`{ident}` has a code: add `#[rejection({written})]`");
                faults.at(ident, message);
            }
            return Self { variant, says: Says::Itself { code, field } };
        };
        if let Some(own) = code.as_ref().or(field.as_ref()) {
            faults.at(own, "a transparent rejection has the code and the field of what it holds");
        }
        let mut held = fields.iter();
        let (Some(inner), None) = (held.next(), held.next()) else {
            faults.at(&transparent, "a transparent rejection holds one other: `Other(Type)`");
            return Self { variant, says: Says::Itself { code: None, field: None } };
        };
        let member = match &inner.ident {
            Some(ident) => Member::Named(ident.clone()),
            None => Member::Unnamed(Index::from(0)),
        };
        Self { variant, says: Says::Inner { member, ty: plain::ty(&inner.ty) } }
    }

    fn code(&self) -> Option<&LitStr> {
        match &self.says {
            Says::Itself { code, .. } => code.as_ref(),
            Says::Inner { .. } => None,
        }
    }
}
