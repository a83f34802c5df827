//! Handlers that announce themselves: found by the module they stand in.

use crate::app::AppBuilder;

/// Something that registers itself with every app that looks for it:
/// [`AppBuilder::discover`](crate::AppBuilder::discover). It is made by [`discovered!`](crate::discovered).
#[derive(Debug)]
pub struct Discovered {
    /// Where it stands: `learning_platform::learning::course`.
    pub module: &'static str,
    /// What it adds to the app.
    pub register: fn(AppBuilder) -> AppBuilder,
}

inventory::collect!(Discovered);

impl Discovered {
    /// Everything that is linked into this program, in no order.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        inventory::iter::<Self>.into_iter()
    }

    /// Whether it stands in this module or below; the crate's name may be left out.
    pub(crate) fn is_in(&self, module: &str) -> bool {
        let without_crate = self.module.split_once("::").map_or("", |(_, rest)| rest);
        let within = |path: &str| {
            path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        within(self.module) || within(without_crate)
    }
}

/// Announces what an app finds with [`AppBuilder::discover`](crate::AppBuilder::discover). It stands
/// beside the handler that it announces; the macros of `cqrs-derive` write it.
///
/// ```standalone_crate
/// use cqrs_core::{App, Command, Never, Request, RequestKind};
///
/// struct Ping;
/// # impl Request for Ping {
/// #     const NAME: &'static str = "ping";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Command for Ping {}
/// async fn ping(_: Ping) -> Result<(), Never> { Ok(()) }
///
/// cqrs_core::discovered!(|app| app.handler(ping));
///
/// # fn main() -> cqrs_core::Result<()> {
/// let app = App::builder().discover().build()?;
/// assert_eq!(app.manifest().requests[0].name, "ping");
/// # Ok(())
/// # }
/// ```
///
/// It works on the platforms of the `inventory` crate: Linux, macOS, Windows, the BSDs, Android,
/// iOS, and WebAssembly with a call of its constructors.
#[macro_export]
macro_rules! discovered {
    (|$app:ident| $register:expr) => {
        $crate::__private::inventory::submit! {
            $crate::Discovered { module: module_path!(), register: |$app| $register }
        }
    };
}

/// Links crates that nothing else refers to, so that what they announce is found.
///
/// A dependency that no `use` names is not linked, and what stands in it is not there for
/// [`AppBuilder::discover`](crate::AppBuilder::discover).
///
/// ```
/// cqrs_core::link!(serde, bytes);
/// ```
#[macro_export]
macro_rules! link {
    ($($linked:ident),+ $(,)?) => {
        $(extern crate $linked as _;)+
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_with_and_without_its_crate() {
        let found = Discovered { module: "platform::learning::course", register: |app| app };
        for module in ["platform", "platform::learning", "learning", "learning::course"] {
            assert!(found.is_in(module), "{module}");
        }
        for module in ["course", "learn", "platform::learning::course::x", "plat", "other"] {
            assert!(!found.is_in(module), "{module}");
        }
    }
}
