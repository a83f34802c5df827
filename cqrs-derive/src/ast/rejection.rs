//! `#[rejection(..)]` at an enum's variants, or at a struct.

use syn::{
    Attribute, Data, DeriveInput, Fields, Generics, Ident, Index, LitStr, Member, Path, Type,
};

use crate::attr::{CRATE, Key, Keys, module, value};
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

/// At the item itself: a struct is its only case.
const ITEM_KEYS: Keys = Keys {
    keys: &[
        Key::once("code", "code = \"learning.course_not_published\""),
        Key::once("field", "field = \"price_cents\""),
        Key::once("transparent", "transparent"),
        CRATE,
    ],
    ..KEYS
};

/// A rejection and all that its attributes say.
pub(crate) struct Rejection<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    /// Where `cqrs-core` is, if that is said.
    pub(crate) core: Option<Path>,
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
        let mut core = None;
        let cases = match &input.data {
            Data::Struct(data) => {
                let read = (ITEM_KEYS, &mut core);
                vec![Case::read(read, &input.attrs, &input.ident, None, &data.fields, faults)]
            }
            Data::Enum(data) => {
                ITEM_KEYS.read(&input.attrs, faults, |key, input, faults| {
                    if key == "crate" {
                        core = Some(module(key, input)?);
                        return Ok(());
                    }
                    if key != "transparent" {
                        value::<LitStr>(key, input)?;
                    }
                    faults.at(key, format!("each variant has a `{key}` of its own, the enum none"));
                    Ok(())
                });
                let variants = data.variants.iter().map(|variant| {
                    let ident = &variant.ident;
                    let read = (KEYS, &mut None);
                    Case::read(read, &variant.attrs, ident, Some(ident), &variant.fields, faults)
                });
                variants.collect()
            }
            Data::Union(_) => Vec::new(),
        };
        let rejection = Self { ident: &input.ident, generics: &input.generics, core, cases };
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
        (keys, core): (Keys, &mut Option<Path>),
        attrs: &[Attribute],
        ident: &Ident,
        variant: Option<&'a Ident>,
        fields: &'a Fields,
        faults: &mut Faults,
    ) -> Self {
        let (mut code, mut field, mut transparent, mut coded) = (None, None, None, false);
        let readable = keys.read(attrs, faults, |key, input, faults| {
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
                "crate" => *core = Some(module(key, input)?),
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
