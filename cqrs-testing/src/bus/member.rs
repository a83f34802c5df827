//! A member of a group, as the cases watch it.

use std::time::Duration;

use cqrs_core::{Deliveries, Delivery};
use futures_util::StreamExt;

use crate::bus::make::{BOUND, QUIET};

/// A member with its deliveries.
pub(crate) struct Member {
    group: String,
    deliveries: Deliveries,
}

impl Member {
    pub(crate) fn new(group: String, deliveries: Deliveries) -> Self {
        Self { group, deliveries }
    }

    /// The next delivery; `None`: they have ended.
    pub(crate) async fn delivery(&mut self) -> Option<Delivery> {
        match tokio::time::timeout(BOUND, self.deliveries.next()).await {
            Ok(delivery) => delivery.map(|delivery| match delivery {
                Ok(delivery) => delivery,
                Err(error) => panic!("a delivery to `{}` failed: {error:?}", self.group),
            }),
            Err(_) => panic!("nothing came to `{}` within {BOUND:?}", self.group),
        }
    }

    /// The next delivery, which must come.
    pub(crate) async fn next(&mut self) -> Delivery {
        match self.delivery().await {
            Some(delivery) => delivery,
            None => panic!("the deliveries to `{}` ended", self.group),
        }
    }

    /// Takes so many and acknowledges each: what they said.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<String> {
        let mut bodies = Vec::with_capacity(count);
        for n in 0..count {
            let delivery = match tokio::time::timeout(BOUND, self.deliveries.next()).await {
                Ok(Some(Ok(delivery))) => delivery,
                other => panic!("{n} of {count} messages came to `{}`, then {other:?}", self.group),
            };
            bodies.push(body(&delivery));
            acked(delivery).await;
        }
        bodies
    }

    /// Nothing comes for a while.
    pub(crate) async fn is_quiet(&mut self) {
        self.is_quiet_for(QUIET).await;
    }

    pub(crate) async fn is_quiet_for(&mut self, time: Duration) {
        if let Ok(delivery) = tokio::time::timeout(time, self.deliveries.next()).await {
            panic!("nothing must come to `{}`, and this did: {delivery:?}", self.group);
        }
    }

    /// The deliveries end.
    pub(crate) async fn ends(&mut self) {
        if let Some(delivery) = self.delivery().await {
            panic!("the deliveries to `{}` must end, and this came: {delivery:?}", self.group);
        }
    }
}

/// What it says.
pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message().body).into_owned()
}

/// Body and attempt.
pub(crate) fn seen(delivery: &Delivery) -> (String, u32) {
    (body(delivery), delivery.message().attempt)
}

pub(crate) async fn acked(delivery: Delivery) {
    if let Err(error) = delivery.ack().await {
        panic!("it must be acknowledged: {error:?}");
    }
}

pub(crate) async fn retried(delivery: Delivery, after: Duration) {
    if let Err(error) = delivery.retry(after).await {
        panic!("it must be taken back: {error:?}");
    }
}

pub(crate) async fn parked(delivery: Delivery, cause: &str) {
    if let Err(error) = delivery.park(cause).await {
        panic!("it must become a dead letter: {error:?}");
    }
}
