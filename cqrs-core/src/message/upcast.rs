//! Reading older versions of events: each step lifts a body by one version.

use crate::error::{BoxError, Problem};
use crate::message::event::EventType;

/// Lifts the JSON body of one event type by one version. Part of [`Event::UPCASTERS`].
///
/// An event at the current version pays nothing for them. Numbers of an older one pass through a
/// [`serde_json::Value`]: whole numbers of more than 64 bits are best recorded as texts.
///
/// ```
/// use cqrs_core::{Event, EventType, EventSet, PayloadRef, Raw, Upcaster};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// struct Opened { owner: String, currency: String }
///
/// impl Event for Opened {
///     const TYPES: &'static [EventType] = &[EventType::new("bank.opened", "Opened").at_version(2)];
///     const UPCASTERS: &'static [Upcaster] = &[Upcaster {
///         event_type: "bank.opened",
///         from: 1,
///         lift: |mut body| { body["currency"] = "EUR".into(); Ok(body) },
///     }];
///     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// }
///
/// let old = Raw { event_type: "bank.opened", schema_version: 1, payload: PayloadRef::Json(r#"{"owner":"Ada"}"#) };
/// let event = Opened::from_raw(old).unwrap().unwrap();
/// assert_eq!(event.currency, "EUR");
/// ```
///
/// [`Event::UPCASTERS`]: crate::Event::UPCASTERS
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// Name of the event type.
    pub event_type: &'static str,
    /// The version it reads; it makes the next one.
    pub from: u16,
    /// The step.
    pub lift: fn(serde_json::Value) -> Result<serde_json::Value, BoxError>,
}

/// Lifts `body` from version `from` to the current one.
pub(crate) fn lift(
    event_type: &EventType,
    upcasters: &[Upcaster],
    from: u16,
    body: &str,
) -> Result<String, BoxError> {
    let mut value: serde_json::Value = serde_json::from_str(body)?;
    for version in from..event_type.version {
        let step = upcasters
            .iter()
            .find(|u| u.event_type == event_type.name && u.from == version)
            .ok_or_else(|| format!("no upcaster from version {version}"))?;
        value = (step.lift)(value).map_err(|e| format!("upcaster from version {version}: {e}"))?;
    }
    Ok(serde_json::to_string(&value)?)
}

/// Everything that is wrong with a list of event types and its upcasters.
pub(crate) fn problems(types: &[EventType], upcasters: &[Upcaster]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (n, event_type) in types.iter().enumerate() {
        if types[..n].iter().any(|t| t.name == event_type.name) {
            problems.push(Problem::DuplicateEventType { event_type: event_type.name });
        }
        for version in 1..event_type.version {
            if !upcasters.iter().any(|u| u.event_type == event_type.name && u.from == version) {
                problems.push(Problem::BrokenUpcasters {
                    event_type: event_type.name,
                    missing: version,
                    current: event_type.version,
                });
            }
        }
    }
    for (n, upcaster) in upcasters.iter().enumerate() {
        let useful = types
            .iter()
            .any(|t| t.name == upcaster.event_type && (1..t.version).contains(&upcaster.from));
        let shadowed = upcasters[..n]
            .iter()
            .any(|u| u.event_type == upcaster.event_type && u.from == upcaster.from);
        if !useful || shadowed {
            problems.push(Problem::UselessUpcaster {
                event_type: upcaster.event_type,
                from: upcaster.from,
            });
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFT: fn(serde_json::Value) -> Result<serde_json::Value, BoxError> = Ok;

    fn upcaster(from: u16) -> Upcaster {
        Upcaster { event_type: "a", from, lift: LIFT }
    }

    #[test]
    fn every_version_below_the_current_one_needs_an_upcaster() {
        let types = [EventType::new("a", "A").at_version(4)];
        let missing = problems(&types, &[upcaster(2)]);
        let missing_at =
            |missing| Problem::BrokenUpcasters { event_type: "a", missing, current: 4 };
        assert_eq!(missing, [missing_at(1), missing_at(3)]);
        assert!(problems(&types, &[upcaster(1), upcaster(2), upcaster(3)]).is_empty());
    }

    #[test]
    fn an_upcaster_that_can_never_run_is_a_problem() {
        let types = [EventType::new("a", "A").at_version(2)];
        let found = problems(&types, &[upcaster(1), upcaster(1), upcaster(2)]);
        let useless = |from| Problem::UselessUpcaster { event_type: "a", from };
        assert_eq!(found, [useless(1), useless(2)]);
    }

    #[test]
    fn a_type_listed_twice_is_a_problem() {
        let types = [EventType::new("a", "A"), EventType::new("a", "B")];
        assert_eq!(problems(&types, &[]), [Problem::DuplicateEventType { event_type: "a" }]);
    }

    #[test]
    fn a_failing_step_names_its_version() {
        let types = EventType::new("a", "A").at_version(3);
        let fails = Upcaster { event_type: "a", from: 2, lift: |_| Err("no currency".into()) };
        let error = lift(&types, &[upcaster(1), fails], 1, "{}").unwrap_err();
        assert_eq!(error.to_string(), "upcaster from version 2: no currency");
    }
}
