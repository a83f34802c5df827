//! Tags: a text with fields in it.

use proc_macro2::Ident;
use syn::{Fields, Index, LitStr, Member};

use crate::fault::Faults;

/// A tag, ready for `format!`.
pub(crate) struct Tag {
    /// The text, with `{}` for each field.
    pub(crate) format: String,
    /// The fields, in the order of the text.
    pub(crate) members: Vec<Member>,
}

/// Takes a tag apart. `None`: it is faulty.
pub(crate) fn tag(literal: &LitStr, fields: &Fields, faults: &mut Faults) -> Option<Tag> {
    match take_apart(&literal.value(), fields) {
        Ok(tag) => Some(tag),
        Err(message) => {
            faults.at(literal, message);
            None
        }
    }
}

fn take_apart(text: &str, fields: &Fields) -> Result<Tag, String> {
    if text.is_empty() {
        return Err("a tag has at least one character".to_owned());
    }
    let mut tag = Tag { format: String::new(), members: Vec::new() };
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        tag.format.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            tag.format.push_str(&from[..2]);
            rest = after;
            continue;
        }
        let Some((name, after)) = from.strip_prefix('{').and_then(|from| from.split_once('}'))
        else {
            let brace = &from[..1];
            return Err(format!(
                "this `{brace}` has no partner: a brace itself is `{brace}{brace}`"
            ));
        };
        tag.members.push(member(name, fields)?);
        tag.format.push_str("{}");
        rest = after;
    }
    tag.format.push_str(rest);
    Ok(tag)
}

fn member(name: &str, fields: &Fields) -> Result<Member, String> {
    let found = fields.iter().enumerate().find_map(|(n, field)| match &field.ident {
        Some(ident) => (unraw(ident) == name).then(|| Member::Named(ident.clone())),
        None => (n.to_string() == name).then(|| Member::Unnamed(Index::from(n))),
    });
    found.ok_or_else(|| {
        let known: Vec<_> = fields
            .iter()
            .enumerate()
            .map(|(n, field)| match &field.ident {
                Some(ident) => format!("`{{{}}}`", unraw(ident)),
                None => format!("`{{{n}}}`"),
            })
            .collect();
        if known.is_empty() {
            format!("there is no field `{name}`, and none at all")
        } else {
            format!("there is no field `{name}`, there is {}", known.join(", "))
        }
    })
}

/// A name without the `r#` that makes it one.
pub(crate) fn unraw(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}
