//! The shape of a type as its `Deserialize` tells it: the names of fields and variants, the kinds of
//! values, all the way down.
//!
//! A deserializer is asked for what a type needs. This one answers with the names of one field, one
//! variant or one element at a time, notes what is asked of it there, and breaks off: no value is
//! ever made but for the elements of a tuple that stand before the one that is looked at.

use std::collections::VecDeque;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

use crate::domain::sample::Sample;
use crate::message::fingerprint::Fingerprinter;

/// How deep is looked. A type that holds itself has no end.
const DEPTH: usize = 16;

/// How many places are looked at, the shallow ones first.
const PLACES: usize = 4_096;

/// Adds the shape of `T`.
pub(crate) fn add<T: DeserializeOwned>(f: &mut Fingerprinter) {
    let mut paths = VecDeque::from([Vec::new()]);
    let mut known = 1;
    while let Some(path) = paths.pop_front() {
        let mut found = None;
        // It breaks off, always.
        let _ = T::deserialize(Probe { path: &path, found: &mut found });
        let Place { kind, name, names, inside } = found.unwrap_or(Place::UNSEEN);
        f.number(path.len() as u64);
        f.text(kind);
        f.text(name);
        f.each(names, |f, name| f.text(name));
        f.number(inside as u64);
        if path.len() == DEPTH {
            continue;
        }
        for step in (0..inside).take(PLACES.saturating_sub(known)) {
            known += 1;
            paths.push_back(path.iter().copied().chain([step]).collect());
        }
    }
}

/// What is asked for at a place.
struct Place {
    kind: &'static str,
    name: &'static str,
    names: &'static [&'static str],
    /// How many places are inside.
    inside: usize,
}

impl Place {
    /// A type that asks for nothing, or for something that could not be made.
    const UNSEEN: Self = Self { kind: "unseen", name: "", names: &[], inside: 0 };

    const fn leaf(kind: &'static str) -> Self {
        Self { kind, ..Self::UNSEEN }
    }
}

/// Breaks off.
#[derive(Debug)]
pub(super) struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("looked at")
    }
}

impl std::error::Error for Stop {}

impl serde::de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Goes down a path and notes what is asked for at its end.
struct Probe<'a> {
    path: &'a [usize],
    found: &'a mut Option<Place>,
}

impl<'a> Probe<'a> {
    /// The next step of the path, or the end of it.
    fn step(self, place: Place) -> Result<(usize, Probe<'a>), Stop> {
        match self.path.split_first() {
            Some((step, path)) => Ok((*step, Probe { path, found: self.found })),
            None => {
                *self.found = Some(place);
                Err(Stop)
            }
        }
    }

    fn fields<'de, V: Visitor<'de>>(
        self,
        kind: &'static str,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let (step, inner) = self.step(Place { kind, name, names, inside: names.len() })?;
        visitor.visit_map(Field { name: names.get(step).ok_or(Stop)?, inner: Some(inner) })
    }

    fn elements<'de, V: Visitor<'de>>(
        self,
        kind: &'static str,
        name: &'static str,
        inside: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let (before, inner) = self.step(Place { kind, name, names: &[], inside })?;
        visitor.visit_seq(Elements { before, inner: Some(inner) })
    }
}

macro_rules! leaves {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
            self.step(Place::leaf(stringify!($method))).and(Err(Stop))
        }
    )* };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Stop;

    leaves! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let (_, inner) = self.step(Place { inside: 1, ..Place::leaf("option") })?;
        visitor.visit_some(inner)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: V,
    ) -> Result<V::Value, Stop> {
        self.step(Place { name, ..Place::leaf("unit struct") }).and(Err(Stop))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let (_, inner) = self.step(Place { name, inside: 1, ..Place::leaf("newtype") })?;
        visitor.visit_newtype_struct(inner)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.elements("seq", "", 1, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.elements("tuple", "", len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.elements("tuple struct", name, len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let (step, inner) = self.step(Place { inside: 2, ..Place::leaf("map") })?;
        visitor.visit_map(Entry { key: step == 0, inner: Some(inner) })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.fields("struct", name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let inside = variants.len();
        let (step, inner) = self.step(Place { kind: "enum", name, names: variants, inside })?;
        visitor.visit_enum(Variant { name: variants.get(step).ok_or(Stop)?, inner })
    }
}

/// One field of a struct.
struct Field<'a> {
    name: &'static str,
    inner: Option<Probe<'a>>,
}

impl<'de> MapAccess<'de> for Field<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        let name: StrDeserializer<'_, Stop> = self.name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        seed.deserialize(self.inner.take().ok_or(Stop)?)
    }
}

/// The key or the value of a map's entry.
struct Entry<'a> {
    key: bool,
    inner: Option<Probe<'a>>,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        if self.key {
            return seed.deserialize(self.inner.take().ok_or(Stop)?).map(Some);
        }
        seed.deserialize(Sample::default()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        seed.deserialize(self.inner.take().ok_or(Stop)?)
    }

    /// The maps of the standard library ask for both at once: no key need be made.
    fn next_entry_seed<K: DeserializeSeed<'de>, V: DeserializeSeed<'de>>(
        &mut self,
        key: K,
        value: V,
    ) -> Result<Option<(K::Value, V::Value)>, Stop> {
        let inner = self.inner.take().ok_or(Stop)?;
        match self.key {
            true => key.deserialize(inner).and(Err(Stop)),
            false => value.deserialize(inner).and(Err(Stop)),
        }
    }
}

/// One element, after those before it.
struct Elements<'a> {
    before: usize,
    inner: Option<Probe<'a>>,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        if self.before == 0 {
            return seed.deserialize(self.inner.take().ok_or(Stop)?).map(Some);
        }
        self.before -= 1;
        seed.deserialize(Sample::default()).map(Some)
    }
}

/// One variant of an enum.
struct Variant<'a> {
    name: &'static str,
    inner: Probe<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Stop;
    type Variant = Probe<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Probe<'a>), Stop> {
        let name: StrDeserializer<'_, Stop> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.inner))
    }
}

impl<'de> VariantAccess<'de> for Probe<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        self.step(Place::leaf("unit")).and(Err(Stop))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        let (_, inner) = self.step(Place { inside: 1, ..Place::leaf("newtype") })?;
        seed.deserialize(inner)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.elements("tuple", "", len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.fields("fields", "", fields, visitor)
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
