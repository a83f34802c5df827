//! Encodes an enum as the body of its variant: the variant's name travels beside it.
//!
//! serde's externally tagged form is `{"Opened":{"owner":"Ada"}}`. The log keeps the name in a
//! column of its own, so only `{"owner":"Ada"}` is written; and reading drives the enum's
//! `Deserialize` with the name from the column, without a `Value` in between.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, EnumAccess, IgnoredAny, VariantAccess, Visitor,
};
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::BoxError;
use crate::message::payload::Json;

/// The body of `event`, which is the `variant` as serde names it.
pub(crate) fn variant_to_json<T: Serialize>(variant: &str, event: &T) -> Result<Json, BoxError> {
    let mut out = Vec::with_capacity(128);
    let json = &mut serde_json::Serializer::new(&mut out);
    event.serialize(Body { variant, json })?;
    Ok(Json::trusted(String::from_utf8(out)?))
}

pub(crate) fn variant_from_json<T: DeserializeOwned>(
    variant: &str,
    body: &str,
) -> Result<T, BoxError> {
    let mut json = serde_json::Deserializer::from_str(body);
    let event = T::deserialize(Tagged { variant, json: &mut json })?;
    json.end()?;
    Ok(event)
}

/// Writes what is inside the variant.
struct Body<'a, S> {
    variant: &'a str,
    json: S,
}

impl<S: Serializer> Body<'_, S> {
    /// A body under the name of another variant would be read as that one, or not at all.
    fn named(self, variant: &str) -> Result<S, S::Error> {
        if variant == self.variant {
            return Ok(self.json);
        }
        let expected = self.variant;
        let text = format_args!("serde calls it `{variant}`, its event type says `{expected}`");
        Err(S::Error::custom(text))
    }
}

const SHAPE: &str = "an event is a struct, or an enum of variants with named fields";

macro_rules! refuse {
    ($($function:ident($type:ty)),* $(,)?) => { $(
        fn $function(self, _: $type) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom(SHAPE))
        }
    )* };
}

impl<S: Serializer> Serializer for Body<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeMap = S::SerializeMap;
    type SerializeStruct = S::SerializeStruct;
    type SerializeStructVariant = Fields<S>;

    refuse!(
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
    );

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(SHAPE))
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(SHAPE))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<S::Ok, S::Error> {
        self.json.serialize_map(Some(0))?.end()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.named(variant)?.serialize_map(Some(0))?.end()
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(self.named(variant)?)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        Err(S::Error::custom(SHAPE))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, S::Error> {
        Err(S::Error::custom(SHAPE))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        Err(S::Error::custom(SHAPE))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        Err(S::Error::custom(format_args!("name the fields of `{variant}`: {SHAPE}")))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.json.serialize_map(len)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        self.json.serialize_struct(name, len)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        Ok(Fields(self.named(variant)?.serialize_struct(variant, len)?))
    }
}

/// The fields of a variant, written as those of a struct.
struct Fields<S: Serializer>(S::SerializeStruct);

impl<S: Serializer> serde::ser::SerializeStructVariant for Fields<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        self.0.serialize_field(key, value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
        self.0.skip_field(key)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

/// A body whose variant is known from elsewhere.
struct Tagged<'a, 'de> {
    variant: &'a str,
    json: &'a mut serde_json::Deserializer<serde_json::de::StrRead<'de>>,
}

impl<'de> Deserializer<'de> for Tagged<'_, 'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.json.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.json.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        IgnoredAny::deserialize(self.json)?;
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'a, 'de> EnumAccess<'de> for Tagged<'a, 'de> {
    type Error = serde_json::Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), Self::Error> {
        let name: StrDeserializer<'a, serde_json::Error> =
            serde::de::IntoDeserializer::into_deserializer(self.variant);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'_, 'de> {
    type Error = serde_json::Error;

    fn unit_variant(self) -> Result<(), Self::Error> {
        // A body with fields is read too: a later version may have added some.
        IgnoredAny::deserialize(self.json).map(|_| ())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, Self::Error> {
        seed.deserialize(self.json)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.json.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.json.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Inner {
        n: Option<i64>,
        map: BTreeMap<String, Vec<f64>>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Sample {
        Unit,
        Newtype(Inner),
        Scalar(String),
        Struct {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            a: Option<u8>,
            b: String,
        },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Alone {
        x: i8,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Alone);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Nothing;

    #[derive(Debug, Serialize)]
    enum Unnamed {
        Pair(u8, u8),
    }

    fn body<T: Serialize>(variant: &str, value: &T) -> String {
        variant_to_json(variant, value).unwrap().as_str().to_owned()
    }

    #[test]
    fn the_variant_is_not_in_the_body() {
        assert_eq!(body("unit", &Sample::Unit), "{}");
        assert_eq!(body("scalar", &Sample::Scalar("a".into())), "\"a\"");
        assert_eq!(body("struct", &Sample::Struct { a: None, b: "x".into() }), r#"{"b":"x"}"#);
        assert_eq!(body("", &Wrapped(Alone { x: 1 })), r#"{"x":1}"#);
        assert_eq!(body("", &Nothing), "{}");
    }

    #[test]
    fn a_variant_with_unnamed_fields_is_refused_by_name() {
        let error = variant_to_json("Pair", &Unnamed::Pair(1, 2)).unwrap_err();
        assert!(error.to_string().contains("Pair"), "{error}");
    }

    #[test]
    fn a_body_under_the_name_of_another_variant_is_refused() {
        let error = variant_to_json("scalar", &Sample::Unit).unwrap_err();
        assert!(error.to_string().contains("`unit`"), "{error}");
    }

    #[test]
    fn values_that_are_no_event_are_refused() {
        assert!(variant_to_json("", &1).is_err());
        assert!(variant_to_json("", &"a").is_err());
        assert!(variant_to_json("", &vec![1]).is_err());
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = variant_from_json::<Sample>("struct", "{}").unwrap_err();
        assert!(error.to_string().contains("`b`"), "{error}");
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert!(variant_from_json::<Alone>("", "{\"x\":1} 2").is_err());
        assert!(variant_from_json::<Nothing>("", "{} {}").is_err());
    }

    #[test]
    fn structs_come_back() {
        assert_eq!(variant_from_json::<Alone>("", r#"{"x":-1}"#).unwrap(), Alone { x: -1 });
        assert_eq!(variant_from_json::<Nothing>("", "{}").unwrap(), Nothing);
        let wrapped = Wrapped(Alone { x: 1 });
        assert_eq!(variant_from_json::<Wrapped>("", &body("", &wrapped)).unwrap(), wrapped);
    }

    proptest::proptest! {
        #[test]
        fn every_event_comes_back(
            n in proptest::option::of(proptest::num::i64::ANY),
            keys in proptest::collection::btree_map(".*", proptest::collection::vec(-1e9..1e9f64, 0..3), 0..4),
            text in ".*",
            a in proptest::option::of(proptest::num::u8::ANY),
        ) {
            for (variant, event) in [
                ("unit", Sample::Unit),
                ("newtype", Sample::Newtype(Inner { n, map: keys })),
                ("scalar", Sample::Scalar(text.clone())),
                ("struct", Sample::Struct { a, b: text }),
            ] {
                let back: Sample = variant_from_json(variant, &body(variant, &event)).unwrap();
                proptest::prop_assert_eq!(back, event);
            }
        }

        #[test]
        fn hostile_bodies_never_panic(variant in ".{0,8}", text in ".*") {
            let _ = variant_from_json::<Sample>(&variant, &text);
        }
    }
}
