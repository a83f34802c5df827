//! One reaction of one instance: from its record and what happened to the commit that follows.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::value::RawValue;

use crate::documents::{self, Versioned};
use crate::domain::context::Context;
use crate::domain::saga::effect::Effect;
use crate::domain::saga::outcome::Outcome;
use crate::domain::saga::{Saga, Trigger};
use crate::error::{BoxError, panic_text};
use crate::handler::HandlerError;
use crate::port::Position;
use crate::port::commit::{Commit, DocumentWrite, Expected};
use crate::runtime::saga::instance::{SagaInstance, cut};
use crate::runtime::saga::plan::{Answered, Cause, Compensated, Plan};

/// What an instance reacts to.
pub(crate) enum Happened<'a, S: Saga> {
    Event {
        event: &'a S::Input,
        name: &'a str,
        position: Position,
    },
    Timer {
        name: &'a str,
        generation: u64,
    },
    /// The answer to the message that is the cause.
    Outcome(&'a Outcome),
    Cancel {
        reason: &'a str,
    },
}

/// Which instance.
#[derive(Clone, Copy)]
pub(crate) struct Instance<'a> {
    pub(crate) tenant: Option<&'a str>,
    pub(crate) key: &'a str,
}

/// What follows from what happened. Nothing, where the instance has ended or waits for no such thing.
///
/// The same record and cause give the same commit but for its id. Errors: what the saga says; when its
/// state cannot be read or written, or an effect cannot be carried out.
pub(crate) fn step<S: Saga>(
    saga: &S,
    instance: Instance<'_>,
    found: Option<Versioned<SagaInstance>>,
    happened: &Happened<'_, S>,
    cause: Cause<'_>,
) -> Result<Commit, HandlerError> {
    if found.as_ref().is_some_and(|found| !found.open) {
        return Ok(Commit::default());
    }
    let Instance { tenant, key } = instance;
    let version = found.as_ref().map_or(0, Versioned::version);
    let record = match found {
        Some(found) => found.into_inner(),
        None => {
            let correlation = cause.metadata.correlation().map(str::to_owned);
            let correlation = correlation.unwrap_or_else(|| cause.metadata.id().to_string());
            SagaInstance::new(S::NAME, tenant, key, correlation, cause.now)
        }
    };
    let mut state = match version {
        0 => S::State::default(),
        _ => read_state::<S>(&record)?,
    };
    // One message may be for several sagas and instances.
    let base = cause.metadata.id().derived(&format!("{}\u{1f}{key}", S::NAME), 0);
    let mut plan = Plan::new(record, cause, base);
    let context = Context::new(cause.now, cause.metadata, version).based_on(base, 0);
    let mut react = |trigger: Trigger<'_, S>| react(saga, &mut state, trigger, &context);
    let (what, effects) = match happened {
        Happened::Event { event, name, position } => {
            (format!("event {name} @{position}"), react(Trigger::Event(*event))?)
        }
        Happened::Timer { name, generation } => {
            if !plan.fired(name, *generation) {
                return Ok(Commit::default());
            }
            let timer: S::Timer = serde_json::from_str(name).map_err(|cause| {
                HandlerError::fatal(format!("`{}` has no timer {name}: {cause}", S::NAME))
            })?;
            (format!("timer {name}"), react(Trigger::Timer(&timer))?)
        }
        Happened::Outcome(outcome) => match plan.answered(cause.metadata.id(), outcome) {
            Answered::Nothing => return Ok(Commit::default()),
            Answered::Compensation(step) => {
                (format!("taking back {step}: {}", told(outcome)), Vec::new())
            }
            Answered::Step(step) => {
                // What is done meanwhile is taken back, and nothing follows from it.
                let effects = match plan.is_compensating() {
                    true => Vec::new(),
                    false => react(Trigger::Outcome { step: &step, outcome })?,
                };
                (format!("outcome {step}: {}", told(outcome)), effects)
            }
        },
        Happened::Cancel { reason } => {
            let mut effects = react(Trigger::Cancel { reason })?;
            if effects.is_empty() {
                effects.push(Effect::Compensate((*reason).to_owned()));
            }
            let takes_back = |effect: &Effect<String>| matches!(effect, Effect::Compensate(_));
            plan.record.cancelling |= effects.iter().any(takes_back);
            (format!("cancel: {reason}"), effects)
        }
    };
    plan.apply(effects).map_err(HandlerError::fatal)?;
    let mut compensated = Compensated::NotYet;
    if plan.is_compensating() {
        compensated = plan.go_on_compensating().map_err(HandlerError::fatal)?;
        if compensated == Compensated::All {
            let effects = react(Trigger::Compensated)?;
            plan.effects.push("all is taken back".to_owned());
            plan.apply(effects).map_err(HandlerError::fatal)?;
        }
    }
    plan.settle_end(compensated);
    let effects = std::mem::take(&mut plan.effects);
    plan.record.note(cause.now, &what, effects);
    plan.record.schema_version = S::VERSION;
    plan.record.state = write_state::<S>(&state)?;
    finish(plan, version)
}

fn finish(plan: Plan<'_>, version: u64) -> Result<Commit, HandlerError> {
    let write = write(&plan.record, version)?;
    Ok(Commit {
        documents: vec![write],
        outgoing: plan.outgoing,
        timers: plan.timers.into_values().collect(),
        ..Commit::default()
    })
}

/// The record as it is now, expected at the version at which it was read.
pub(crate) fn write(record: &SagaInstance, version: u64) -> Result<DocumentWrite, HandlerError> {
    let id = crate::Entity::id(record);
    let key = documents::key::<SagaInstance>(record.tenant.as_deref(), &id);
    let body = documents::encode(record).map_err(HandlerError::fatal)?;
    let expected = if version == 0 { Expected::NoStream } else { Expected::Exactly(version) };
    Ok(DocumentWrite::put(key, expected, body))
}

/// Notes that a step does not get through. `None`: nobody waits for it.
pub(crate) fn failing(
    found: Option<Versioned<SagaInstance>>,
    cause: Cause<'_>,
    error: &str,
) -> Option<DocumentWrite> {
    let found = found.filter(|found| found.open)?;
    let version = found.version();
    let mut record = found.into_inner();
    let step = record.step_of(cause.metadata.id())?;
    step.error = Some(cut(error));
    let name = step.name.clone();
    record.note_error(&format!("{name}: {error}"));
    record.note(cause.now, &format!("{name} does not get through"), Vec::new());
    write(&record, version).ok()
}

/// Asks the saga. Its panic is an error.
fn react<S: Saga>(
    saga: &S,
    state: &mut S::State,
    trigger: Trigger<'_, S>,
    context: &Context<'_>,
) -> Result<Vec<Effect<String>>, HandlerError> {
    let reaction = catch_unwind(AssertUnwindSafe(|| saga.react(state, trigger, context)));
    let reaction = reaction.unwrap_or_else(|panic| {
        Err(format!("the saga `{}` panicked: {}", S::NAME, panic_text(&*panic)).into())
    });
    let named = reaction?.into_iter().map(named::<S>);
    named.collect::<Result<_, _>>().map_err(HandlerError::fatal)
}

/// The effect with its timer named by its JSON.
fn named<S: Saga>(effect: Effect<S::Timer>) -> Result<Effect<String>, BoxError> {
    let name = |timer: S::Timer| {
        serde_json::to_string(&timer)
            .map_err(|cause| format!("the timer {timer:?} cannot be encoded: {cause}"))
    };
    Ok(match effect {
        Effect::Schedule { timer, after } => Effect::Schedule { timer: name(timer)?, after },
        Effect::Cancel { timer } => Effect::Cancel { timer: name(timer)? },
        Effect::Send(step) => Effect::Send(step),
        Effect::Publish(message) => Effect::Publish(message),
        Effect::Deadline(after) => Effect::Deadline(after),
        Effect::Complete => Effect::Complete,
        Effect::Fail(reason) => Effect::Fail(reason),
        Effect::Compensate(reason) => Effect::Compensate(reason),
    })
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Rejected { code, .. } => format!("rejected ({code})"),
        Outcome::Failed(reason) => format!("failed: {reason}"),
    }
}

/// The state of an instance, lifted to the version of this code.
fn read_state<S: Saga>(record: &SagaInstance) -> Result<S::State, HandlerError> {
    let SagaInstance { key, schema_version: from, .. } = record;
    let unreadable = |cause: BoxError| {
        let name = S::NAME;
        format!("the state of `{name}`/{key} at version {from} cannot be read: {cause}")
    };
    if *from > S::VERSION {
        // Not fatal: a node with the newer code may take it over.
        let cause = format!("version {from} is newer than version {} of this code", S::VERSION);
        return Err(unreadable(cause.into()).into());
    }
    let read = || -> Result<S::State, BoxError> {
        if *from == S::VERSION {
            return Ok(serde_json::from_str(record.state())?);
        }
        let mut state: serde_json::Value = serde_json::from_str(record.state())?;
        for version in *from..S::VERSION {
            state = S::upcast(version, state)?;
        }
        Ok(serde_json::from_value(state)?)
    };
    let read = catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|panic| Err(format!("it panicked: {}", panic_text(&*panic)).into()));
    read.map_err(|cause| HandlerError::fatal(unreadable(cause)))
}

/// The state as it can be read again.
fn write_state<S: Saga>(state: &S::State) -> Result<Box<RawValue>, HandlerError> {
    let written = || -> Result<Box<RawValue>, BoxError> {
        let text = serde_json::to_string(state)?;
        serde_json::from_str::<S::State>(&text)
            .map_err(|cause| format!("it could not be read again: {cause}"))?;
        Ok(RawValue::from_string(text)?)
    };
    let written = catch_unwind(AssertUnwindSafe(written))
        .unwrap_or_else(|panic| Err(format!("it panicked: {}", panic_text(&*panic)).into()));
    written.map_err(|cause| {
        HandlerError::fatal(format!("the state of `{}` cannot be written: {cause}", S::NAME))
    })
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
