//! JSON Schemas of wire forms and event bodies, made by `schemars`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Never;
use crate::message::event::{Event, EventType};
use crate::message::request::Request;
use crate::message::wire::{Schemas, Wire};

impl<R> Wire<R>
where
    R: Request + JsonSchema,
    R::Output: JsonSchema,
    R::Error: JsonSchema,
{
    /// The same with JSON Schemas for the [`Manifest`](crate::Manifest).
    ///
    /// ```
    /// use cqrs_core::{App, Never, Query, Request, RequestKind, Wire};
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize, JsonSchema)]
    /// struct Double { n: u64 }
    /// impl Request for Double {
    ///     const NAME: &'static str = "double";
    ///     const KIND: RequestKind = RequestKind::Query;
    ///     type Output = u64;
    ///     type Error = Never;
    ///     fn wire() -> Option<Wire<Self>> { Some(Wire::json().with_schema()) }
    /// }
    /// impl Query for Double {}
    /// async fn double(d: Double) -> Result<u64, Never> { Ok(d.n * 2) }
    ///
    /// let app = App::builder().handler(double).build().unwrap();
    /// let schemas = app.manifest().requests[0].schemas.as_ref().unwrap();
    /// assert_eq!(schemas.request["properties"]["n"]["type"], "integer");
    /// ```
    #[must_use]
    pub fn with_schema(mut self) -> Self {
        self.schemas = Some(|| Schemas {
            request: schema_for!(R).to_value(),
            output: schema_for!(R::Output).to_value(),
            rejection: schema_for!(R::Error).to_value(),
        });
        self
    }
}

/// JSON Schema of the body of one type of an event: what [`Event::schema`] may return.
///
/// ```
/// use cqrs_core::{Event, EventType};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize, JsonSchema)]
/// enum AccountEvent { Deposited { amount: u64 }, Closed }
///
/// impl Event for AccountEvent {
///     const TYPES: &'static [EventType] =
///         &[EventType::new("bank.deposited", "Deposited"), EventType::new("bank.closed", "Closed")];
///     fn event_type(&self) -> &'static EventType {
///         match self { Self::Deposited { .. } => &Self::TYPES[0], Self::Closed => &Self::TYPES[1] }
///     }
///     fn schema(event_type: &EventType) -> Option<serde_json::Value> {
///         cqrs_core::event_schema::<Self>(event_type)
///     }
/// }
///
/// let deposited = AccountEvent::schema(&AccountEvent::TYPES[0]).unwrap();
/// assert_eq!(deposited["properties"]["amount"]["type"], "integer");
/// ```
pub fn event_schema<E>(event_type: &EventType) -> Option<Value>
where
    E: Event + JsonSchema + Serialize + DeserializeOwned,
{
    let mut whole = schema_for!(E).to_value();
    let definitions = whole.get_mut("$defs").map(Value::take);
    let variant = event_type.variant;
    let none = Vec::new();
    let variants = whole.get("oneOf").and_then(Value::as_array).unwrap_or(&none);
    let body = variants.iter().find_map(|schema| schema.get("properties")?.get(variant)).cloned();
    let is_unit = || is_unit(&whole, variant) || variants.iter().any(|one| is_unit(one, variant));
    let mut body = match body {
        Some(body) => body,
        None if is_unit() => serde_json::json!({ "type": "object" }),
        // A struct is its own body, even where a flattened enum gives it alternatives.
        None => whole,
    };
    if let (Some(object), Some(definitions)) = (body.as_object_mut(), definitions) {
        object.insert("$defs".to_owned(), definitions);
    }
    Some(body)
}

fn is_unit(schema: &Value, variant: &str) -> bool {
    let listed = schema.get("enum").and_then(Value::as_array);
    schema.get("const").is_some_and(|constant| constant == variant)
        || listed.is_some_and(|all| all.iter().any(|one| one == variant))
}

/// Nothing is a value of it.
impl JsonSchema for Never {
    fn schema_name() -> Cow<'static, str> {
        "Never".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(false)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    enum Units {
        Opened,
        Closed,
    }

    impl Event for Units {
        const TYPES: &'static [EventType] =
            &[EventType::new("test.opened", "Opened"), EventType::new("test.closed", "Closed")];
        fn event_type(&self) -> &'static EventType {
            match self {
                Self::Opened => &Self::TYPES[0],
                Self::Closed => &Self::TYPES[1],
            }
        }
    }

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    enum Kind {
        Small { size: u8 },
        Large { size: u64 },
    }

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        kind: Kind,
    }

    impl Event for Flat {
        const TYPES: &'static [EventType] = &[EventType::new("test.flat", "Flat")];
        fn event_type(&self) -> &'static EventType {
            &Self::TYPES[0]
        }
    }

    #[test]
    fn the_body_of_a_variant_without_fields_is_an_object() {
        for event_type in Units::TYPES {
            assert_eq!(event_schema::<Units>(event_type).unwrap()["type"], "object");
        }
    }

    #[test]
    fn a_struct_with_a_flattened_enum_is_its_own_body() {
        let schema = event_schema::<Flat>(&Flat::TYPES[0]).unwrap();
        assert_eq!(schema["properties"]["id"]["type"], "integer");
        assert_eq!(schema["oneOf"].as_array().unwrap().len(), 2);
    }
}
