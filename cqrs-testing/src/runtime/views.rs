//! Views of notes, as projections make them.

use cqrs_core::{AppBuilder, Entity, Fact, Life, Projection};
use serde::{Deserialize, Serialize};

use crate::runtime::notes::Noted;

/// What was noted under a key, and under all of them: each note changes two views.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) key: String,
    pub(crate) notes: Vec<u32>,
}

/// The view with all notes.
pub(crate) const ALL: &str = "all of them";

macro_rules! projection {
    ($(#[$doc:meta])* $name:ident, $view:ident, $called:literal, $in:literal, $version:literal, $step:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        /// Its view.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $view(pub(crate) Page);

        impl Entity for $view {
            const COLLECTION: &'static str = $in;

            fn id(&self) -> String {
                self.0.key.clone()
            }
        }

        impl Projection for $name {
            const NAME: &'static str = $called;
            const VERSION: u16 = $version;
            type Input = Noted;
            type View = $view;

            fn keys(event: &Fact<'_, Noted>) -> Vec<String> {
                vec![event.data.key.clone(), ALL.to_owned()]
            }

            fn project(key: &str, view: Option<$view>, event: &Fact<'_, Noted>) -> Option<$view> {
                let page = || Page { key: key.to_owned(), notes: Vec::new() };
                let mut page = view.map_or_else(page, |view| view.0);
                page.notes.push(event.data.n + $step);
                Some($view(page))
            }
        }
    };
}

projection! {
    /// The notes.
    Pages, PageView, "notes.pages", "notes.page", 1, 0
}

projection! {
    /// The same in a newer version: it counts from a thousand.
    PagesAnew, PageViewAnew, "notes.pages", "notes.page", 2, 1000
}

projection! {
    /// The same under another name, to compare with.
    Pinned, PinnedView, "notes.pinned", "notes.pin", 1, 0
}

/// An app that keeps the views of notes, in so many partitions.
pub(crate) fn pages(partitions: u32) -> impl Fn(AppBuilder) -> AppBuilder {
    move |app| {
        app.projection::<Pages>()
            .subscription(Pages::NAME, move |s| s.partitions(partitions).batch(4))
    }
}

/// An app that keeps them in a newer version.
pub(crate) fn pages_anew(app: AppBuilder) -> AppBuilder {
    app.projection::<PagesAnew>().subscription(Pages::NAME, |s| s.partitions(2).batch(4))
}

/// The same views, living in another way.
pub(crate) fn pages_as(life: Life) -> impl Fn(AppBuilder) -> AppBuilder {
    move |app| app.projection_as::<Pages>(life)
}
