//! What follows the events of an app and makes something to read of them: projections and sinks.

use std::any::Any;
use std::sync::Arc;

use crate::app::{App, AppBuilder};
use crate::domain::projection::Projection;
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::handler::Resources;
use crate::port::sink::Sink;
use crate::runtime::inline::{Inline, InlineStore, InlineViews};
use crate::runtime::live::{LiveProjection, LiveViews};
use crate::runtime::projection::Life;
use crate::runtime::projection::subscriber::DurableProjection;
use crate::runtime::sink::SinkSubscriber;
use crate::runtime::view::{LifeOf, View};

/// Partitions of projections and sinks, unless they are told otherwise: they write in batches.
const PARTITIONS: u32 = 1;

/// A projection or a sink.
struct Known {
    name: &'static str,
    /// Of a projection: its [`LifeOf`].
    life: Arc<dyn Any + Send + Sync>,
    /// Whether it is a subscription.
    is_run: bool,
}

/// The projections and sinks of an app.
#[derive(Default)]
pub(crate) struct Following {
    all: Vec<Known>,
    pub(crate) lives: Vec<Arc<dyn LiveProjection>>,
    inlines: Vec<Arc<dyn Inline>>,
    /// The store with the inline ones.
    inline: Option<Arc<InlineStore>>,
}

impl Following {
    /// Names of those that are no subscriptions.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.all.iter().filter(|known| !known.is_run).map(|known| known.name)
    }

    /// Whether this is a projection that is up to date whenever it is read.
    pub(crate) fn is_at_once(&self, name: &str) -> bool {
        let live = self.lives.iter().any(|live| live.name() == name);
        !live && self.all.iter().any(|known| !known.is_run && known.name == name)
    }

    /// Lets the inline ones take part in all commits of the app.
    pub(super) fn join(&mut self, resources: &mut Resources) {
        if let Some(store) = resources.store.clone().filter(|_| !self.inlines.is_empty()) {
            let (clock, retry) = (resources.clock.clone(), resources.retry);
            let inline = InlineStore::new(store, clock, retry, std::mem::take(&mut self.inlines));
            let inline = Arc::new(inline);
            resources.store = Some(inline.clone());
            self.inline = Some(inline);
        }
    }

    /// Makes sure that the views of the inline ones are complete.
    pub(crate) async fn ready(&self) -> Result<()> {
        match &self.inline {
            Some(inline) => inline.ready().await,
            None => Ok(()),
        }
    }

    /// What is wrong with them.
    pub(super) fn problems(&self, resources: &Resources) -> Vec<Problem> {
        let all = self.all.iter();
        all.filter_map(|known| resources.store(known.name).err()).collect()
    }
}

impl AppBuilder {
    /// A [`Projection`] behind the log: its views are documents, kept by one node for each partition,
    /// exactly once (P10). They are read with [`View`](crate::View).
    ///
    /// ```
    /// use cqrs_core::memory::MemoryStore;
    /// use cqrs_core::{App, Never, Query, Request, RequestKind, View};
    /// # use cqrs_core::{Entity, Event, EventType, Fact, Failure, Projection};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Debug, Clone, Serialize, Deserialize)]
    /// # struct Deposited { amount: u64 }
    /// # impl Event for Deposited {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];
    /// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
    /// # }
    /// # #[derive(Debug, Serialize, Deserialize)]
    /// # struct Balance { account: String, amount: u64 }
    /// # impl Entity for Balance {
    /// #     const COLLECTION: &'static str = "balance";
    /// #     fn id(&self) -> String { self.account.clone() }
    /// # }
    /// # struct Balances;
    /// # impl Projection for Balances {
    /// #     const NAME: &'static str = "bank.balances";
    /// #     type Input = Deposited;
    /// #     type View = Balance;
    /// #     fn keys(event: &Fact<'_, Deposited>) -> Vec<String> { vec![event.stream.to_owned()] }
    /// #     fn project(key: &str, view: Option<Balance>, event: &Fact<'_, Deposited>) -> Option<Balance> {
    /// #         let before = view.map_or(0, |view| view.amount);
    /// #         Some(Balance { account: key.to_owned(), amount: before + event.data.amount })
    /// #     }
    /// # }
    /// # struct HowMuch { account: String }
    /// # impl Request for HowMuch {
    /// #     const NAME: &'static str = "bank.how_much";
    /// #     const KIND: RequestKind = RequestKind::Query;
    /// #     type Output = u64;
    /// #     type Error = Never;
    /// # }
    /// # impl Query for HowMuch {}
    ///
    /// async fn how_much(query: HowMuch, balances: View<Balances>) -> Result<u64, Failure<Never>> {
    ///     Ok(balances.get(&query.account).await?.map_or(0, |balance| balance.amount))
    /// }
    ///
    /// let app = App::builder()
    ///     .store(MemoryStore::default())
    ///     .projection::<Balances>()
    ///     .handler(how_much)
    ///     .build()
    ///     .unwrap();
    /// # let _ = app;
    /// ```
    pub fn projection<P: Projection>(self) -> Self {
        self.projection_as::<P>(Life::Durable)
    }

    /// A [`Projection`] with another [life](Life): the definition and how its views are read stay the
    /// same. See [`projection`](Self::projection) for an example.
    pub fn projection_as<P: Projection>(self, life: Life) -> Self {
        let mut builder = self.reads::<P::Input>();
        let live = (life == Life::Live).then(|| Arc::new(LiveViews::<P>::new()));
        match life {
            Life::Durable => {
                let projection = Arc::new(DurableProjection::<P>::default());
                builder.subscribers.push((P::NAME, PARTITIONS, projection));
            }
            Life::Live => builder.following.lives.extend(live.clone().map(|live| live as _)),
            Life::Inline => {
                builder.following.inlines.push(Arc::new(InlineViews::<P>::new()));
            }
            Life::Query => {}
        }
        let known = Arc::new(LifeOf::<P> { life, live });
        builder.following.all.push(Known {
            name: P::NAME,
            life: known.clone(),
            is_run: life == Life::Durable,
        });
        builder.resource(known)
    }

    /// A projection into the user's own tables, as an adapter made it of one: see [`Sink`]. Its name is
    /// that of its checkpoint: stable.
    ///
    /// Events of one stream are applied in their order. With more than one partition, those of
    /// different streams are not.
    pub fn sink(mut self, name: &'static str, sink: Arc<dyn Sink>) -> Self {
        self.following.all.push(Known { name, life: Arc::new(()), is_run: true });
        self.subscribers.push((name, PARTITIONS, Arc::new(SinkSubscriber::new(name, sink))));
        self
    }
}

impl App {
    /// The views of a projection, as it [lives](Life) in this app.
    ///
    /// ```
    /// use cqrs_core::{App, Projection, Result, View};
    ///
    /// async fn print<P: Projection>(app: &App, id: &str) -> Result<()>
    /// where
    ///     P::View: std::fmt::Debug,
    /// {
    ///     let view: View<P> = app.view()?;
    ///     println!("{:?}", view.get(id).await?);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when the app has no store.
    pub fn view<P: Projection>(&self) -> Result<View<P>> {
        let Some(store) = self.store().cloned() else {
            let context = "an app without a store has no views: `AppBuilder::store`";
            return Err(Error::new(ErrorKind::Invalid { field: None }, context));
        };
        let life = self.0.following.all.iter().find_map(|known| known.life.downcast_ref());
        Ok(View::living(store, life))
    }

    /// Makes the views of an [inline](Life::Inline) projection of all events there are: once, while
    /// nobody writes, for one that was added when the log had events for it already, or whose
    /// [`VERSION`](Projection::VERSION) was raised. Until then such an app does not start, and commits
    /// of those events are refused. The views from before are read meanwhile, and removed afterwards.
    ///
    /// When it is broken off, nothing has changed; call it again.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName) when no inline projection has this name; when the
    /// projection fails at an event; when the store cannot be read or written.
    pub async fn rebuild_inline(&self, projection: &str) -> Result<()> {
        let rebuilt = match &self.0.following.inline {
            Some(inline) => inline.rebuild(projection).await,
            None => None,
        };
        rebuilt.unwrap_or_else(|| {
            let name: String = projection.chars().take(100).collect();
            let context = format!("no inline projection of this app is called {name:?}");
            Err(Error::new(ErrorKind::UnknownName, context))
        })
    }
}
