//! What is measured, and the rounds.

pub(crate) mod length;
pub(crate) mod replay;
pub(crate) mod round_trips;
pub(crate) mod throughput;

use crate::args::Args;
use crate::contender::{Contender, Measure, Result};
use crate::databases::Databases;
use crate::report::Report;

/// The accounts that are there before the first command, and the events of each: enough that the
/// server plans as it does with a history.
const THERE_BEFORE: (i32, i32) = (1_000, 10);

/// Runs them one after the other.
pub(crate) async fn run(
    args: &Args,
    contenders: &[Box<dyn Contender>],
    databases: &Databases,
    report: &mut Report,
) -> Result<()> {
    for &measure in &args.what {
        let contenders: Vec<&dyn Contender> = contenders
            .iter()
            .map(AsRef::as_ref)
            .filter(|contender| contender.takes_part(measure))
            .collect();
        match measure {
            Measure::Throughput => throughput::run(args, &contenders, databases, report).await,
            Measure::Length => length::run(args, &contenders, databases, report).await,
            Measure::Replay => replay::run(args, &contenders, databases, report).await,
            Measure::RoundTrips => round_trips::run(args, &contenders, databases, report).await,
        }?;
    }
    Ok(())
}

/// The contenders of a round: another one comes first each time.
fn in_turn<'a>(contenders: &[&'a dyn Contender], round: usize) -> Vec<&'a dyn Contender> {
    let mut order = contenders.to_vec();
    if !order.is_empty() {
        order.rotate_left(round % contenders.len());
    }
    order
}
