//! What serde calls a field or a variant.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Field, Ident, Lit, LitStr, Token, Variant, token};

use crate::fault::Faults;
use crate::plain;
use crate::valid::tag::unraw;

/// A rule of `rename_all`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

/// What the `#[serde(..)]` attributes of an item say about names. What serde itself refuses is left
/// to serde.
#[derive(Default)]
struct Names {
    serialize: Option<LitStr>,
    deserialize: Option<LitStr>,
    aliases: Vec<String>,
    /// `rename_all` for writing and for reading.
    all: (Option<LitStr>, Option<LitStr>),
    /// Keys that take a variant or its name away.
    others: Vec<Ident>,
}

impl Names {
    fn of(attrs: &[Attribute]) -> Self {
        let mut names = Self::default();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
            // Err: serde says what is wrong.
            let _ = attr.parse_nested_meta(|meta| names.item(&meta));
        }
        names
    }

    fn item(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if meta.input.peek(token::Paren) {
            return meta.parse_nested_meta(|inner| {
                let text = text(&inner)?;
                let write = inner.path.is_ident("serialize");
                match (key.as_str(), write) {
                    ("rename", true) => self.serialize = text,
                    ("rename", false) => self.deserialize = text,
                    ("rename_all", true) => self.all.0 = text,
                    ("rename_all", false) => self.all.1 = text,
                    _ => {}
                }
                Ok(())
            });
        }
        let text = text(meta)?;
        match key.as_str() {
            "rename" => (self.serialize, self.deserialize) = (text.clone(), text),
            "rename_all" => self.all = (text.clone(), text),
            "alias" => self.aliases.extend(text.map(|text| text.value())),
            _ => self.others.extend(meta.path.get_ident().cloned()),
        }
        Ok(())
    }
}

/// The text after `=`, where there is one.
fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<LitStr>> {
    if !meta.input.peek(Token![=]) {
        return Ok(None);
    }
    let value: Expr = meta.value()?.parse()?;
    match plain::expr(&value) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(Some(text.clone())),
        _ => Ok(None),
    }
}

/// The rule that the fields of a struct are read by.
pub(crate) fn fields_renamed(attrs: &[Attribute]) -> Option<Rule> {
    Names::of(attrs).all.1.and_then(|text| Rule::named(&text.value()))
}

/// What a caller calls a field.
pub(crate) fn field_name(n: usize, field: &Field, rule: Option<Rule>) -> String {
    if let Some(name) = Names::of(&field.attrs).deserialize {
        return name.value();
    }
    match (&field.ident, rule) {
        (Some(ident), Some(rule)) => rule.of_field(&unraw(ident)),
        (Some(ident), None) => unraw(ident),
        (None, _) => n.to_string(),
    }
}

/// What serde makes of a field that is stored.
pub(crate) struct Stored {
    /// Its name, written and read.
    pub(crate) name: String,
    /// Whether JSON may be without it.
    pub(crate) may_miss: bool,
    /// What writes or reads it, where its type does not.
    pub(crate) with: Option<Ident>,
}

/// What serde is told of a struct that is stored.
pub(crate) struct StoredFields {
    rule: Option<Rule>,
    may_miss: bool,
    /// Whether it is written as its one field.
    pub(crate) is_transparent: bool,
}

/// Reads what serde is told of a struct that is stored, and refuses what hides its fields.
pub(crate) fn stored_fields(attrs: &[Attribute], faults: &mut Faults) -> StoredFields {
    let names = Names::of(attrs);
    for key in &names.others {
        if ["tag", "from", "into", "try_from", "remote"].iter().any(|hides| key == hides) {
            let message = format!(
                "`{key}` makes other JSON of it than its fields: implement `Schema` by hand, or \
                 remove it"
            );
            faults.at(key, message);
        }
    }
    let rule = |text: &Option<LitStr>| text.as_ref().and_then(|text| Rule::named(&text.value()));
    let (written, read) = (rule(&names.all.0), rule(&names.all.1));
    if written != read {
        let at = names.all.0.as_ref().or(names.all.1.as_ref());
        faults.at(at, "what is stored is written and read under the same names");
    }
    let said = |name: &str| names.others.iter().any(|key| key == name);
    StoredFields { rule: written, may_miss: said("default"), is_transparent: said("transparent") }
}

impl StoredFields {
    /// A field of it; `None`: it is not stored.
    pub(crate) fn field(
        &self,
        field: &Field,
        ident: &Ident,
        faults: &mut Faults,
    ) -> Option<Stored> {
        let names = Names::of(&field.attrs);
        let key = |name: &str| names.others.iter().find(|key| *key == name);
        if key("skip").or(key("skip_serializing")).is_some() {
            return None;
        }
        if let Some(key) = key("flatten") {
            let message = "a flattened field has no name to be stored under: remove `flatten`";
            faults.at(key, message);
        }
        let plain = match self.rule {
            Some(rule) => rule.of_field(&unraw(ident)),
            None => unraw(ident),
        };
        let named = |text: &Option<LitStr>| text.as_ref().map_or(plain.clone(), LitStr::value);
        let (name, read) = (named(&names.serialize), named(&names.deserialize));
        if name != read && !names.aliases.contains(&name) {
            let at = names.serialize.as_ref().or(names.deserialize.as_ref());
            faults.at(at, "what is stored is written and read under the same name");
        }
        let with = key("with").or(key("serialize_with")).or(key("deserialize_with")).cloned();
        let may_miss = self.may_miss || key("default").or(key("skip_serializing_if")).is_some();
        Some(Stored { name, may_miss, with })
    }
}

/// What writes or reads the one field of a struct around it, where its type does not.
pub(crate) fn written_with(field: &Field) -> Option<Ident> {
    let names = Names::of(&field.attrs);
    let with = ["with", "serialize_with", "deserialize_with"];
    names.others.into_iter().find(|key| with.iter().any(|with| key == with))
}

/// Whether serde writes the variants of an enum as their names alone, if they have no fields.
pub(crate) fn is_written_as_names(attrs: &[Attribute]) -> bool {
    let names = Names::of(attrs);
    !names.others.iter().any(|key| {
        ["tag", "content", "untagged", "into", "from", "try_from"].iter().any(|other| key == other)
    })
}

/// The rules for the variants of an enum: for writing, and for reading.
pub(crate) struct VariantRules(Option<Rule>, Option<Rule>);

/// Reads what serde is told of an enum of events, and refuses what hides the variant's name.
pub(crate) fn variants_renamed(attrs: &[Attribute], faults: &mut Faults) -> VariantRules {
    let names = Names::of(attrs);
    for key in &names.others {
        if key == "tag" || key == "content" || key == "untagged" {
            let message =
                format!("the log keeps the name of the variant beside the body: remove `{key}`");
            faults.at(key, message);
        }
    }
    let rule = |text: Option<LitStr>| text.and_then(|text| Rule::named(&text.value()));
    VariantRules(rule(names.all.0), rule(names.all.1))
}

/// What serde calls a variant of an enum of events. Written and read under different names, it
/// could not be read again.
pub(crate) fn variant_name(variant: &Variant, rules: &VariantRules, faults: &mut Faults) -> String {
    let names = Names::of(&variant.attrs);
    for key in &names.others {
        if ["skip", "skip_serializing", "skip_deserializing", "untagged", "other"]
            .iter()
            .any(|refused| key == refused)
        {
            faults.at(key, "every variant is written and read under its own name: remove this");
        }
    }
    let plain = unraw(&variant.ident);
    let named = |explicit: &Option<LitStr>, rule: Option<Rule>| match (explicit, rule) {
        (Some(name), _) => name.value(),
        (None, Some(rule)) => rule.of_variant(&plain),
        (None, None) => plain.clone(),
    };
    let written = named(&names.serialize, rules.0);
    let read = named(&names.deserialize, rules.1);
    if written != read && !names.aliases.contains(&written) {
        let message = format!(
            "serde writes `{written}` and reads `{read}`, so the event could not be read again: \
             add `#[serde(alias = {written:?})]`"
        );
        match names.serialize.or(names.deserialize) {
            Some(literal) => faults.at(literal, message),
            None => faults.at(&variant.ident, message),
        }
    }
    written
}

impl Rule {
    fn named(text: &str) -> Option<Self> {
        Some(match text {
            "lowercase" => Self::Lower,
            "UPPERCASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "snake_case" => Self::Snake,
            "SCREAMING_SNAKE_CASE" => Self::ScreamingSnake,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => return None,
        })
    }

    /// As serde does it for `VariantNames`.
    fn of_variant(self, variant: &str) -> String {
        match self {
            Self::Pascal => variant.to_owned(),
            Self::Lower => variant.to_ascii_lowercase(),
            Self::Upper => variant.to_ascii_uppercase(),
            Self::Camel => lower_first(variant),
            Self::Snake => snake(variant),
            Self::ScreamingSnake => snake(variant).to_ascii_uppercase(),
            Self::Kebab => snake(variant).replace('_', "-"),
            Self::ScreamingKebab => snake(variant).to_ascii_uppercase().replace('_', "-"),
        }
    }

    /// As serde does it for `field_names`.
    fn of_field(self, field: &str) -> String {
        match self {
            Self::Lower | Self::Snake => field.to_owned(),
            Self::Upper | Self::ScreamingSnake => field.to_ascii_uppercase(),
            Self::Pascal => pascal(field),
            Self::Camel => lower_first(&pascal(field)),
            Self::Kebab => field.replace('_', "-"),
            Self::ScreamingKebab => field.to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

fn snake(variant: &str) -> String {
    let mut snake = String::new();
    for (at, c) in variant.char_indices() {
        if at > 0 && c.is_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn pascal(field: &str) -> String {
    let mut pascal = String::new();
    let mut first = true;
    for c in field.chars() {
        match (c, first) {
            ('_', _) => first = true,
            (c, true) => {
                pascal.push(c.to_ascii_uppercase());
                first = false;
            }
            (c, false) => pascal.push(c),
        }
    }
    pascal
}
