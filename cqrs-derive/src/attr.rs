//! Reads attributes: a list of keys, of which each is known by a table.
//!
//! A new key is one more [`Key`] in the table of its attribute, and one more arm where the attribute
//! is read.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Ident, Meta, Path, Token, parenthesized, token};

use crate::fault::Faults;

/// One key of an attribute.
pub(crate) struct Key {
    /// What it is called.
    pub(crate) name: &'static str,
    /// How it is written, for people.
    pub(crate) written: &'static str,
    /// Whether it may stand more than once.
    pub(crate) repeats: bool,
}

impl Key {
    /// A key that stands at most once.
    pub(crate) const fn once(name: &'static str, written: &'static str) -> Self {
        Self { name, written, repeats: false }
    }

    /// A key that may stand several times.
    pub(crate) const fn repeated(name: &'static str, written: &'static str) -> Self {
        Self { name, written, repeats: true }
    }
}

/// Where `cqrs-core` is, for a package that does not depend on it.
pub(crate) const CRATE: Key = Key::once("crate", "crate = facade::cqrs_core");

/// The keys of an attribute.
pub(crate) struct Keys {
    /// Name of the attribute.
    pub(crate) attribute: &'static str,
    /// How it is written, for people.
    pub(crate) written: &'static str,
    /// What may stand in it.
    pub(crate) keys: &'static [Key],
}

impl Keys {
    /// Reads all attributes of this name. `value` reads what follows a key; what it cannot parse is
    /// a fault of that key, and reading goes on with the next one.
    ///
    /// False: an attribute is no list of keys, so that nothing is known to be missing.
    pub(crate) fn read(
        &self,
        attrs: &[Attribute],
        faults: &mut Faults,
        mut value: impl FnMut(&Ident, ParseStream<'_>, &mut Faults) -> syn::Result<()>,
    ) -> bool {
        let (mut seen, mut readable) = (Vec::new(), true);
        for attr in attrs.iter().filter(|attr| attr.path().is_ident(self.attribute)) {
            match &attr.meta {
                Meta::Path(_) => {}
                Meta::List(_) => {
                    let entries = |input: ParseStream<'_>| {
                        self.entries(input, faults, &mut seen, &mut value);
                        Ok(())
                    };
                    if let Err(error) = attr.parse_args_with(entries) {
                        faults.push(error);
                    }
                }
                Meta::NameValue(_) => {
                    readable = false;
                    faults.at(attr, format!("write `{}`", self.written));
                }
            }
        }
        readable
    }

    /// Reads the arguments of an attribute macro.
    pub(crate) fn read_arguments(
        &self,
        arguments: TokenStream,
        faults: &mut Faults,
        mut value: impl FnMut(&Ident, ParseStream<'_>, &mut Faults) -> syn::Result<()>,
    ) {
        let entries = |input: ParseStream<'_>| {
            self.entries(input, faults, &mut Vec::new(), &mut value);
            Ok(())
        };
        if let Err(error) = entries.parse2(arguments) {
            faults.push(error);
        }
    }

    fn entries(
        &self,
        input: ParseStream<'_>,
        faults: &mut Faults,
        seen: &mut Vec<&'static str>,
        value: &mut impl FnMut(&Ident, ParseStream<'_>, &mut Faults) -> syn::Result<()>,
    ) {
        while !input.is_empty() {
            self.entry(input, faults, seen, value);
            if !input.is_empty() {
                let _ = input.parse::<Token![,]>();
            }
        }
    }

    /// Reads up to the comma before the next key.
    fn entry(
        &self,
        input: ParseStream<'_>,
        faults: &mut Faults,
        seen: &mut Vec<&'static str>,
        value: &mut impl FnMut(&Ident, ParseStream<'_>, &mut Faults) -> syn::Result<()>,
    ) {
        let Ok(ident) = input.call(Ident::parse_any) else {
            let message = format!("a key of `{}` is expected here: {}", self.written, self.known());
            faults.push(input.error(message));
            return skip(input);
        };
        let Some(key) = self.keys.iter().find(|key| ident == key.name) else {
            let message =
                format!("`{}` has no key `{ident}`, it has {}", self.written, self.known());
            faults.at(ident, message);
            return skip(input);
        };
        if seen.contains(&key.name) && !key.repeats {
            faults.at(&ident, format!("`{ident}` is given twice"));
            return skip(input);
        }
        seen.push(key.name);
        let wrong = |span: Span| syn::Error::new(span, format!("write `{}`", key.written));
        match value(&ident, input, faults) {
            Err(error) => faults.push(wrong(error.span())),
            Ok(()) if !input.is_empty() && !input.peek(Token![,]) => {
                faults.push(wrong(input.span()));
            }
            Ok(()) => return,
        }
        skip(input);
    }

    fn known(&self) -> String {
        match self.keys {
            [] => String::new(),
            [one] => format!("`{}`", one.name),
            [first @ .., last] => {
                let first: Vec<_> = first.iter().map(|key| format!("`{}`", key.name)).collect();
                format!("{} and `{}`", first.join(", "), last.name)
            }
        }
    }
}

/// Passes over what could not be read, up to a comma and what looks like the next key.
fn skip(input: ParseStream<'_>) {
    while !input.is_empty() {
        if input.peek(Token![,]) {
            let ahead = input.fork();
            let _ = ahead.parse::<Token![,]>();
            let key = ahead.call(Ident::parse_any).is_ok();
            let next = ahead.is_empty()
                || ahead.peek(Token![=])
                || ahead.peek(Token![,])
                || ahead.peek(token::Paren);
            if ahead.is_empty() || (key && next) {
                return;
            }
        }
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// What follows `key =`.
pub(crate) fn value<T: Parse>(key: &Ident, input: ParseStream<'_>) -> syn::Result<T> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(key.span(), "a value is missing"));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

/// The path of a module after `key =`.
pub(crate) fn module(key: &Ident, input: ParseStream<'_>) -> syn::Result<Path> {
    let Module(path) = value(key, input)?;
    Ok(path)
}

struct Module(Path);

impl Parse for Module {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path = input.call(Path::parse_mod_style)?;
        match input.is_empty() || input.peek(Token![,]) {
            true => Ok(Self(path)),
            // Half of a path would be a fault of its own.
            false => Err(input.error("more than a path")),
        }
    }
}

/// What stands in the brackets after `key`.
pub(crate) fn list<T>(
    key: &Ident,
    input: ParseStream<'_>,
    read: impl FnOnce(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<T> {
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(key.span(), "a list is missing"));
    }
    let content;
    parenthesized!(content in input);
    let read = match read(&content) {
        Ok(_) if !content.is_empty() => Err(content.error("more than is expected")),
        read => read,
    };
    // What is left would be a fault of its own.
    let _ = content.parse::<TokenStream>();
    read
}
