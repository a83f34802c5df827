//! Students who take their time to pay: those whose ids begin with `slow-`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

const SLOW: &str = "slow-";

/// How long a slow student takes to pay.
///
/// It counts from the first time that a payment is asked for: one that is asked for again, because
/// whoever asks is not that patient, is not waited for from the beginning.
#[derive(Debug, Clone)]
pub(super) struct PaymentDelay {
    time: Duration,
    asked: Arc<Mutex<HashMap<Uuid, Instant>>>,
}

impl PaymentDelay {
    /// So long.
    pub(super) fn of(time: Duration) -> Self {
        Self { time, asked: Arc::default() }
    }

    /// Waits until the student has answered. Cancel safe: it goes on where it was.
    pub(super) async fn answered(&self, payment_id: Uuid, student_id: &str) {
        if !student_id.starts_with(SLOW) {
            return;
        }
        let asked = *self.asked().entry(payment_id).or_insert_with(Instant::now);
        sleep(self.time.saturating_sub(asked.elapsed())).await;
        self.asked().remove(&payment_id);
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
