//! What announces a handler, and the checks beside it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Item, Type};

use crate::ast::handler::{self, Handler, Role, Target};
use crate::core_path::{core_path, local, placed_at};
use crate::fault::Faults;
use crate::plain;

/// The item as it is, and what announces it.
pub(crate) fn expand(role: Role, arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let parsed: Item = match syn::parse2(item.clone()) {
        Ok(parsed) => parsed,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    let mut faults = Faults::default();
    let handler = handler::read(role, arguments, &parsed, &mut faults);
    let written = match handler {
        Some(handler) if faults.is_empty() => announce(&handler),
        _ => faults.into_tokens(),
    };
    quote!(#item #written)
}

fn announce(handler: &Handler) -> TokenStream {
    let core = core_path(handler.core.as_ref());
    let written = match &handler.target {
        Target::Function { ident, input, parameters, output } => {
            function(handler, &core, ident, input, parameters, output)
        }
        Target::Decides { aggregate, command } => {
            let app = local("app");
            quote! {
                #[allow(unused_imports, reason = "for an `impl` that does not compile")]
                use #core::check::DecidesNot as _;
                #core::discovered!(
                    |#app| #core::check::Decides::<#aggregate, #command>::announce(#app)
                );
            }
        }
    };
    let conditions = &handler.conditions;
    quote! {
        #(#conditions)*
        const _: () = {
            #written
        };
    }
}

fn function(
    handler: &Handler,
    core: &TokenStream,
    ident: &Ident,
    input: &Type,
    parameters: &[Type],
    output: &Type,
) -> TokenStream {
    let input_check = match handler.role {
        Role::Command => "command",
        Role::Query => "query",
        Role::Event => "events",
    };
    let input_held = check(core, input_check, input.span(), &[input]);
    let parameters_held = parameters.iter().map(|ty| check(core, "parameter", ty.span(), &[ty]));
    let known = quote!(#core::check::Checked<#input, { __INPUT }>);
    let answer_held = answer(handler.role, output, &known, core);
    let names: Vec<_> = (0..=parameters.len()).map(|n| local(&format!("p{n}"))).collect();
    let types = [input].into_iter().chain(parameters);
    let future = quote_spanned!(placed_at(ident.span())=>
        #core::check::future::<{ __INPUT & __PARAMETERS & __ANSWER }, _>(#ident(#(#names),*))
    );
    let checked = quote!(#core::check::Checked<#input, { __FUTURE }>);
    let app = local("app");
    let register = match &handler.name {
        Some(name) => quote!(#app.event_handler::<#checked, _>(#name, #ident)),
        None => quote!(#app.handler::<#checked, _>(#ident)),
    };
    quote! {
        const __INPUT: bool = #input_held;
        const __PARAMETERS: bool = true #(& #parameters_held)*;
        const __ANSWER: bool = #answer_held;
        const __FUTURE: bool = {
            let _ = |#(#names: #types),*| #future;
            __INPUT & __PARAMETERS & __ANSWER
        };
        #core::discovered!(|#app| #register);
    }
}

/// A call of one of the checks, at the user's token.
fn check(core: &TokenStream, name: &str, at: Span, types: &[&dyn ToTokens]) -> TokenStream {
    let name = Ident::new(name, placed_at(at));
    quote_spanned!(placed_at(at)=> #core::check::#name::<#(#types),*>())
}

/// The checks of what is returned. A `Result` that is written out is checked part by part.
fn answer(role: Role, output: &Type, input: &TokenStream, core: &TokenStream) -> TokenStream {
    let parts = parts_of_result(output);
    match (role, parts) {
        (Role::Event, Some((answer, error))) => {
            let answer = check(core, "nothing", answer.span(), &[answer]);
            let error = check(core, "cause", error.span(), &[error]);
            quote!(#answer & #error)
        }
        (Role::Event, None) => check(core, "handled", output.span(), &[output]),
        (_, Some((answer, error))) => {
            let answer = check(core, "output", answer.span(), &[input, answer]);
            let error = check(core, "error", error.span(), &[input, error]);
            quote!(#answer & #error)
        }
        (_, None) => check(core, "answer", output.span(), &[input, output]),
    }
}

fn parts_of_result(ty: &Type) -> Option<(&Type, &Type)> {
    let last = plain::last_segment(ty)?;
    let mut arguments = plain::arguments(last);
    match (arguments.next()?, arguments.next()?, arguments.next()) {
        (output, error, None) if last.ident == "Result" => Some((output, error)),
        _ => None,
    }
}
