//! What the service is made of: an app from the modules of its role, and its routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use cqrs_core::layer::{ConcurrencyLimit, Idempotency, Timeout, Trace};
use cqrs_core::{App, AppBuilder, Bus, Result, Store};

use crate::http::{self, Gateway};
use crate::learning::tutors::by_subject::BySubject;
use crate::settings::Role;
use crate::{learning, notifications, page, payments, sagas};

/// How long a repeat waits while the first is handled, before it is told to come back: less than the
/// store waits for its lock, so that one of two repeats has an answer while the other still waits.
const IN_FLIGHT: Duration = Duration::from_secs(3);

/// How much a service takes on, and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a request may take.
    pub timeout: Duration,
    /// How many requests are handled at once.
    pub at_once: usize,
    /// How long a payment may take before the enrolment is timed out.
    pub payment_timeout: Duration,
    /// How long a student whose id begins with `slow-` takes to pay.
    pub payment_delay: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            at_once: 512,
            payment_timeout: Duration::from_secs(10),
            payment_delay: Duration::from_secs(5),
        }
    }
}

/// The app of this role, on a store that is told of its documents. What is another process's matter it asks
/// for over the bus.
///
/// # Errors
/// When the app lacks something, or the store cannot be written.
pub async fn app(
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    role: Role,
    bounds: Bounds,
    tutors: BySubject,
) -> Result<App> {
    builder(store, bus, role, bounds, tutors).await?.build()
}

/// The same, for those who have something to add.
///
/// # Errors
/// When the store cannot be written.
pub async fn builder(
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    role: Role,
    bounds: Bounds,
    tutors: BySubject,
) -> Result<AppBuilder> {
    let mut app = App::builder()
        .shared_store(Arc::clone(&store))
        .shared_bus(bus)
        .max_body(http::BODY_LIMIT)
        .layer(Trace::new())
        .layer(Timeout::after(bounds.timeout))
        .layer(Idempotency::new("http").wait_at_most(IN_FLIGHT))
        .layer(ConcurrencyLimit::at_most(bounds.at_once));
    if role.is_learning() {
        learning::declare(Arc::clone(&store)).await?;
        notifications::declare(Arc::clone(&store)).await?;
        tutors.prepare().await?;
        app = learning::register(app, bounds.payment_timeout, tutors);
        app = sagas::register(notifications::register(app));
    }
    if role.is_payments() {
        payments::declare(store).await?;
        app = payments::register(app, bounds.payment_delay);
    } else {
        app = payments::elsewhere(app);
    }
    Ok(app)
}

/// The routes of its gateway; the page among them, where there are courses to show.
pub fn router(gateway: Gateway, role: Role) -> Router {
    let mut router = gateway.router();
    if role.is_learning() {
        router = router.merge(page::route());
    }
    http::finish(router)
}
