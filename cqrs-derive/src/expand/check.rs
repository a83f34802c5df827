//! `Request::validate`: the checks of the fields, then the user's own.

use std::fmt::Write;

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprRange, RangeLimits};

use crate::ast::check::{Check, Measure, whole};
use crate::ast::request::Request;
use crate::core_path::{local, placed_at};

/// Writes the method, where there is something to check.
pub(crate) fn validate(request: &Request<'_>, core: &TokenStream) -> Option<TokenStream> {
    if request.checks.is_empty() && request.validate.is_none() {
        return None;
    }
    let checks = request.checks.iter().map(|check| field(check, core));
    let last = match &request.validate {
        Some(path) => {
            let call = quote_spanned!(placed_at(path.span())=> (self));
            quote!(#path #call)
        }
        None => quote!(::core::result::Result::Ok(())),
    };
    Some(quote! {
        fn validate(&self) -> #core::Result<()> {
            #(#checks)*
            #last
        }
    })
}

fn field(check: &Check, core: &TokenStream) -> TokenStream {
    let Check { member, name, ty, optional, measure, range } = check;
    let at = placed_at(ty.span());
    let value = local("value");
    let count = local("count");
    let measured = match measure {
        Measure::Chars => Some(quote_spanned!(at=> #value.chars().count())),
        Measure::Items => Some(quote_spanned!(at=> #value.len())),
        Measure::Range => None,
    };
    let (let_count, subject, counted) = match measured {
        Some(measured) => (Some(quote!(let #count = #measured;)), quote!(&#count), Some(&count)),
        None => (None, quote!(#value), None),
    };
    let inside = quote_spanned!(at=> (#range).contains(#subject));
    let refusal = refusal(name, *measure, range, counted);
    let checked = quote! {
        #let_count
        if !#inside {
            return ::core::result::Result::Err(#core::Error::invalid_field(#name, #refusal));
        }
    };
    match optional {
        true => quote! {
            if let ::core::option::Option::Some(#value) = &self.#member {
                #checked
            }
        },
        false => quote! {
            {
                let #value = &self.#member;
                #checked
            }
        },
    }
}

/// What is wrong, for people. It never quotes the value, which may be a secret.
fn refusal(name: &str, measure: Measure, range: &ExprRange, count: Option<&Ident>) -> TokenStream {
    let mut text = Text::default();
    let _ = write!(text.format, "`{}` ", escaped(name));
    let noun = match measure {
        Measure::Chars => Some("character"),
        Measure::Items => Some("item"),
        Measure::Range => None,
    };
    text.format.push_str(if noun.is_some() { "has " } else { "is " });
    let (start, end) = (range.start.as_deref(), range.end.as_deref());
    let closed = matches!(range.limits, RangeLimits::Closed(_));
    let less = if noun.is_some() { "fewer than " } else { "less than " };
    match (start, end) {
        (Some(start), Some(end))
            if closed && whole(start).is_some() && whole(start) == whole(end) =>
        {
            text.say("exactly ", start);
        }
        (Some(start), Some(end)) if closed => {
            text.say(if noun.is_some() { "" } else { "from " }, start);
            text.say(" to ", end);
        }
        (Some(start), Some(end)) => {
            text.say("at least ", start);
            text.say(" and ", None);
            text.say(less, end);
        }
        (Some(start), None) => text.say("at least ", start),
        (None, Some(end)) => text.say(if closed { "at most " } else { less }, end),
        (None, None) => {}
    }
    if let Some(noun) = noun {
        let one = end.or(start).and_then(whole) == Some(1);
        let _ = write!(text.format, " {noun}{}", if one { "" } else { "s" });
    }
    if let Some(count) = count {
        text.format.push_str(", not {}");
        text.arguments.push(quote!(#count));
    }
    let Text { format, arguments } = text;
    quote!(::std::format!(#format #(, #arguments)*))
}

/// A text for `format!`: what is known now stands in it, what is not is an argument.
#[derive(Default)]
struct Text {
    format: String,
    arguments: Vec<TokenStream>,
}

impl Text {
    fn say<'a>(&mut self, words: &str, bound: impl Into<Option<&'a Expr>>) {
        self.format.push_str(words);
        match bound.into().map(|bound| (whole(bound), bound)) {
            Some((Some(number), _)) => {
                let _ = write!(self.format, "{number}");
            }
            Some((None, bound)) => {
                self.format.push_str("{}");
                self.arguments.push(quote!(#bound));
            }
            None => {}
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}
