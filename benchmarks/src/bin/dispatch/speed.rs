//! What two tasks at once cost each other.

use std::time::Instant;

use crate::cases::{Case, Prepared};

const CALLS: u64 = 400_000;
const ROUNDS: usize = 9;

/// The time of a call while another task does the same, by the time of a call alone. The median of
/// the rounds.
pub(crate) fn slowdown_of_two(case: Case) -> f64 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let ratios = runtime.expect("a runtime").block_on(async {
        let prepared = case.prepare();
        let mut ratios = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let alone = timed(prepared.clone()).await;
            let (one, two) =
                (tokio::spawn(timed(prepared.clone())), tokio::spawn(timed(prepared.clone())));
            let together = one.await.expect("it ends").max(two.await.expect("it ends"));
            ratios.push(together / alone);
        }
        ratios
    });
    median(ratios)
}

async fn timed(prepared: Prepared) -> f64 {
    let task = async move {
        let start = Instant::now();
        prepared.run(CALLS).await;
        start.elapsed().as_secs_f64()
    };
    tokio::spawn(task).await.expect("it ends")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
