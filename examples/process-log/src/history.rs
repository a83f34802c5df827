//! Prints the events of a case, or its state at a time.

use std::sync::Arc;

use cqrs_core::{At, BoxError, Repository, Store, Timestamp};
use futures_util::StreamExt;

use crate::case::{ActivityDone, Case};

pub(crate) async fn print(
    store: Arc<dyn Store>,
    case: &str,
    at: Option<Timestamp>,
) -> Result<(), BoxError> {
    let cases = Repository::<Case>::new(store);
    match at {
        Some(time) => print_state(&cases, case, time).await,
        None => print_events(&cases, case).await,
    }
}

async fn print_events(cases: &Repository<Case>, case: &str) -> Result<(), BoxError> {
    let mut pages = cases.history(&case.to_owned());
    let mut events = 0;
    while let Some(page) = pages.next().await {
        for event in page?.iter() {
            if let Some(event) = event.decode::<ActivityDone>()? {
                let ActivityDone { activity, resource, at } = event.data;
                println!("{:>4}  {at}  {activity}  {resource}", event.version);
                events += 1;
            }
        }
    }
    if events == 0 { Err(format!("no case {case:?}").into()) } else { Ok(()) }
}

async fn print_state(
    cases: &Repository<Case>,
    case: &str,
    time: Timestamp,
) -> Result<(), BoxError> {
    let id = case.to_owned();
    let then = cases.load_at(&id, At::Occurred(time)).await?;
    match then.last() {
        Some(ActivityDone { activity, resource, at }) => {
            println!("{case} at {time}: {} activities done", then.activities());
            println!("the last: {activity} by {resource}, {at}");
            Ok(())
        }
        None if cases.load(&id).await?.exists() => {
            println!("{case} at {time}: nothing done yet");
            Ok(())
        }
        None => Err(format!("no case {case:?}").into()),
    }
}
