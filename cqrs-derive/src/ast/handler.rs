//! What the handler attributes stand at: an async function, or an `impl Decide<C> for A`.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, Ident, Item, ItemFn, ItemImpl, LitStr, Path, ReturnType, Signature, Type,
};

use crate::attr::{CRATE, Key, Keys, module, value};
use crate::fault::Faults;
use crate::plain;
use crate::valid::{name, parameter};

/// Which of the attributes it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Command,
    Query,
    Event,
}

impl Role {
    fn keys(self) -> Keys {
        let (attribute, written, keys) = match self {
            Self::Command => ("command_handler", "#[command_handler]", &[CRATE] as _),
            Self::Query => ("query_handler", "#[query_handler]", &[CRATE] as _),
            Self::Event => ("event_handler", "#[event_handler(..)]", EVENT_KEYS),
        };
        Keys { attribute, written, keys }
    }

    /// What its first parameter is called in a sentence.
    pub(crate) fn input(self) -> &'static str {
        match self {
            Self::Command => "the command",
            Self::Query => "the query",
            Self::Event => "the event",
        }
    }
}

const EVENT_KEYS: &[Key] = &[Key::once("name", "name = \"learning.mailer\""), CRATE];

/// What is announced.
pub(crate) struct Handler {
    pub(crate) role: Role,
    /// Where `cqrs-core` is, if that is said.
    pub(crate) core: Option<Path>,
    /// The conditions under which it is there.
    pub(crate) conditions: Vec<Attribute>,
    /// The name of an event handler.
    pub(crate) name: Option<LitStr>,
    pub(crate) target: Target,
}

/// What handles.
pub(crate) enum Target {
    Function {
        ident: Ident,
        /// The type of the first parameter.
        input: Type,
        /// The types of the others.
        parameters: Vec<Type>,
        output: Type,
    },
    Decides {
        aggregate: Type,
        command: Type,
    },
}

/// Reads an item. `None`: the faults say why.
pub(crate) fn read(
    role: Role,
    arguments: TokenStream,
    item: &Item,
    faults: &mut Faults,
) -> Option<Handler> {
    let (name, core) = read_arguments(role, arguments, faults);
    let (attrs, target) = match item {
        Item::Fn(function) => (&function.attrs, read_function(role, function, faults)),
        Item::Impl(item) if role == Role::Command => (&item.attrs, read_impl(item, faults)),
        other => {
            let place = match role {
                Role::Command => "an async function, or at an `impl Decide<C> for A`",
                Role::Query | Role::Event => "an async function",
            };
            faults.near(other, format!("`{}` stands at {place}", role.keys().written));
            return None;
        }
    };
    let conditions = attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect();
    Some(Handler { role, core, conditions, name, target: target? })
}

fn read_arguments(
    role: Role,
    arguments: TokenStream,
    faults: &mut Faults,
) -> (Option<LitStr>, Option<Path>) {
    let (mut literal, mut named, mut core) = (None, false, None);
    role.keys().read_arguments(arguments, faults, |key, input, faults| {
        match key.to_string().as_str() {
            "crate" => core = Some(module(key, input)?),
            _ => {
                named = true;
                let text = value(key, input)?;
                name::name(&text, faults);
                literal = Some(text);
            }
        }
        Ok(())
    });
    if role == Role::Event && !named {
        let message = "an event handler has a name, under which its progress is kept: \
                       `#[event_handler(name = \"learning.mailer\")]`";
        faults.push(syn::Error::new(proc_macro2::Span::call_site(), message));
    }
    (literal, core)
}

fn read_function(role: Role, function: &ItemFn, faults: &mut Faults) -> Option<Target> {
    let before = faults.count();
    let Signature { asyncness, generics, inputs, output, fn_token, ident, .. } = &function.sig;
    if asyncness.is_none() {
        faults.at(fn_token, "a handler is an async function: write `async fn`");
    }
    if let Some(parameter) = generics.params.first() {
        let message = "a handler is one function for one request: it has no type parameters";
        faults.at(parameter, message);
    }
    if let Some(receiver) = function.sig.receiver() {
        faults.at(receiver, "a handler is a function, not a method: its state is a `Res<T>`");
        return None;
    }
    let types: Vec<&Type> = inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(typed) => Some(plain::ty(&typed.ty)),
            FnArg::Receiver(_) => None,
        })
        .collect();
    match types.split_first() {
        None => {
            let what = role.input();
            let message = format!("the first parameter is {what}, by value");
            faults.push(syn::Error::new(function.sig.paren_token.span.join(), message));
        }
        Some((first, others)) => {
            parameter::input(role, first, faults);
            parameter::others(role, others, faults);
        }
    }
    let output = match output {
        ReturnType::Type(_, output) => Some(plain::ty(output)),
        ReturnType::Default => {
            let returned = match role {
                Role::Event => "`Result<(), Error>`",
                Role::Command | Role::Query => {
                    "`Result<Output, Error>` with the output and the error of the request"
                }
            };
            faults.at(ident, format!("a handler returns {returned}"));
            None
        }
    };
    if faults.count() > before {
        return None;
    }
    let (first, others) = types.split_first()?;
    Some(Target::Function {
        ident: ident.clone(),
        input: (*first).clone(),
        parameters: others.iter().map(|ty| (*ty).clone()).collect(),
        output: output?.clone(),
    })
}

fn read_impl(item: &ItemImpl, faults: &mut Faults) -> Option<Target> {
    let decide = "`#[command_handler]` stands at an async function, or at an \
                  `impl Decide<C> for A`";
    if let Some(parameter) = item.generics.params.first() {
        faults.at(parameter, "an aggregate has one name, so its type has no parameters");
        return None;
    }
    let Some((path, _)) = &item.trait_ else {
        faults.near(&item.self_ty.span(), decide);
        return None;
    };
    let last = path.segments.last()?;
    if last.ident == "Decide"
        && let Some(command) = plain::argument(last)
    {
        let (aggregate, command) = (plain::ty(&item.self_ty).clone(), command.clone());
        return Some(Target::Decides { aggregate, command });
    }
    faults.at(path, decide);
    None
}
