//! The four ways to call one trivial handler.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{App, Command, Never, Request, RequestKind};
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;

/// One way to call the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `Arc<dyn …>` with one boxed future: what any dynamic dispatch costs.
    Boxed,
    /// `App::send`, no layers.
    Send,
    /// `App::send` through three tower layers around everything.
    Layered,
    /// mediator-rs.
    MediatorRs,
}

impl Case {
    pub(crate) const ALL: [Self; 4] = [Self::Boxed, Self::Send, Self::Layered, Self::MediatorRs];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Boxed => "boxed",
            Self::Send => "send",
            Self::Layered => "layered",
            Self::MediatorRs => "mediator-rs",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Boxed => "Arc<dyn ..>, one boxed future",
            Self::Send => "App::send",
            Self::Layered => "App::send, three tower layers",
            Self::MediatorRs => "mediator-rs 0.1.5",
        }
    }

    pub(crate) fn prepare(self) -> Prepared {
        match self {
            Self::Boxed => Prepared::Boxed(black_box(Arc::new(Adder))),
            Self::Send => {
                Prepared::App(App::builder().handler(add).build().expect("it has its handler"))
            }
            Self::Layered => {
                let builder = App::builder()
                    .handler(add)
                    .layer(LoadShedLayer::new())
                    .layer(ConcurrencyLimitLayer::new(64))
                    .layer(TimeoutLayer::new(Duration::from_secs(30)));
                Prepared::App(builder.build().expect("it has its handler"))
            }
            Self::MediatorRs => {
                let mut mediator = mediator_rs::Mediator::new();
                mediator.register::<Add, _>(Adder);
                Prepared::MediatorRs(Arc::new(mediator))
            }
        }
    }
}

/// A case, ready to be called.
#[derive(Clone)]
pub(crate) enum Prepared {
    Boxed(Arc<dyn Dynamic>),
    App(App),
    MediatorRs(Arc<mediator_rs::Mediator<(), Never>>),
}

impl Prepared {
    pub(crate) async fn run(&self, calls: u64) {
        match self {
            Self::Boxed(handler) => {
                for n in 0..calls {
                    black_box(handler.add(Add(black_box(n))).await.ok());
                }
            }
            Self::App(app) => {
                for n in 0..calls {
                    black_box(app.send(Add(black_box(n))).await.ok());
                }
            }
            Self::MediatorRs(mediator) => {
                for n in 0..calls {
                    black_box(mediator.dispatch(Add(black_box(n)), &()).await.ok());
                }
            }
        }
    }
}

/// The command.
pub(crate) struct Add(u64);

impl Command for Add {}
impl Request for Add {
    const NAME: &'static str = "add";
    const KIND: RequestKind = RequestKind::Command;
    type Output = u64;
    type Error = Never;
}

async fn add(c: Add) -> Result<u64, Never> {
    Ok(black_box(c.0).wrapping_add(1))
}

#[async_trait::async_trait]
pub(crate) trait Dynamic: Send + Sync {
    async fn add(&self, c: Add) -> Result<u64, Never>;
}

struct Adder;

#[async_trait::async_trait]
impl Dynamic for Adder {
    async fn add(&self, c: Add) -> Result<u64, Never> {
        add(c).await
    }
}

impl mediator_rs::Request for Add {
    type Output = u64;
}

#[async_trait::async_trait]
impl mediator_rs::Handler<Add, Never, ()> for Adder {
    async fn handle(&self, c: Add, _: &()) -> Result<u64, Never> {
        add(c).await
    }
}
