//! What follows the events of an app and makes something to read of them: projections and sinks.

use std::sync::Arc;

use crate::app::AppBuilder;
use crate::domain::projection::Projection;
use crate::error::Problem;
use crate::handler::Resources;
use crate::port::sink::Sink;
use crate::runtime::live::{Live, LiveViews};
use crate::runtime::projection::Life;
use crate::runtime::projection::subscriber::DurableProjection;
use crate::runtime::sink::SinkSubscriber;
use crate::runtime::view::LifeOf;

/// Partitions of projections and sinks, unless they are told otherwise: they write in batches.
const PARTITIONS: u32 = 1;

/// The projections and sinks of an app.
#[derive(Default)]
pub(crate) struct Following {
    all: Vec<(&'static str, Life)>,
    pub(crate) lives: Vec<Arc<dyn Live>>,
}

impl Following {
    /// Names of those that are no subscriptions.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.all.iter().filter(|(_, life)| *life != Life::Durable).map(|(name, _)| *name)
    }

    /// What is wrong with them.
    pub(super) fn problems(&self, resources: &Resources) -> Vec<Problem> {
        let all = self.all.iter();
        all.filter_map(|(name, _)| resources.store(name).err()).collect()
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
            Life::Inline | Life::Query => {}
        }
        builder.following.all.push((P::NAME, life));
        builder.resource(Arc::new(LifeOf::<P> { life, live }))
    }

    /// A projection into the user's own tables, as an adapter made it of one: see [`Sink`]. Its name is
    /// that of its checkpoint: stable.
    ///
    /// Events of one stream are applied in their order. With more than one partition, those of
    /// different streams are not.
    pub fn sink(mut self, name: &'static str, sink: Arc<dyn Sink>) -> Self {
        self.following.all.push((name, Life::Durable));
        self.subscribers.push((name, PARTITIONS, Arc::new(SinkSubscriber::new(name, sink))));
        self
    }
}
