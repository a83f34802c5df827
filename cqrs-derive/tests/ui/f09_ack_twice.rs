//! A delivery that is settled twice.

use cqrs_core::{Delivery, Result};

async fn settle(delivery: Delivery) -> Result<()> {
    delivery.ack().await?;
    delivery.ack().await
}

fn main() {}
