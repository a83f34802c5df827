//! The handler of the query: instances are read as the runtime has written them.

use cqrs_core::{Failure, FindSagas, Never, SagaInstance, SagaStatus, SagaStepState, Sagas};
use cqrs_derive::query_handler;

use super::requests::{ListSagas, SagaList, SagaView, StepView};

/// Instances that are read at once.
const PAGE: u32 = 1_000;

#[query_handler]
async fn list(query: ListSagas, sagas: Sagas) -> Result<SagaList, Failure<Never>> {
    let status = query.status.and_then(|status| SagaStatus::named(status.name()));
    let mut find = FindSagas { status, limit: PAGE, ..FindSagas::default() };
    let mut items = Vec::new();
    loop {
        let page = sagas.list(find.clone()).await?;
        let next = page.last().filter(|_| page.len() == PAGE as usize);
        let next = next.map(|last| find.clone().after(last));
        items.extend(page.into_iter().map(shown));
        match next {
            Some(next) => find = next,
            None => return Ok(SagaList { items }),
        }
    }
}

fn shown(instance: SagaInstance) -> SagaView {
    let steps = instance.steps.iter();
    SagaView {
        status: instance.status.name().to_owned(),
        started_at: instance.started_at.to_string(),
        updated_at: instance.updated_at.to_string(),
        deadline: instance.deadline.map(|deadline| deadline.to_string()),
        completed_at: instance.completed_at.map(|completed| completed.to_string()),
        steps: steps
            .map(|step| StepView { name: step.name.clone(), state: name(step.state) })
            .collect(),
        saga: instance.saga,
        key: instance.key,
        last_error: instance.last_error,
    }
}

/// The name of a state, as it is stored.
fn name(state: SagaStepState) -> String {
    let stored = serde_json::to_value(state).unwrap_or_default();
    stored.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sagas::requests::Status;

    #[test]
    fn every_status_has_the_name_that_the_runtime_gives_it() {
        use Status::{Cancelled, Compensating, Completed, Failed, Running};
        let all = [Running, Compensating, Completed, Failed, Cancelled];
        for status in all {
            assert!(SagaStatus::named(status.name()).is_some());
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        assert_eq!(all.len(), SagaStatus::ALL.len());
        assert_eq!(name(SagaStepState::Sent), "sent");
    }
}
