//! A deserializer that goes down one path into a type, and notes what is asked of it at the end.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::domain::sample::{Sample, Samples};
use crate::domain::shape::{Place, Stop, Type};

/// Goes down a path and notes what is asked for at its end.
pub(super) struct Probe<'a> {
    pub(super) path: &'a [usize],
    pub(super) found: &'a mut Option<Place>,
    /// For what is made on the way.
    pub(super) samples: &'a Samples,
}

impl<'a> Probe<'a> {
    /// The next step of the path, or the end of it.
    fn step(self, place: Place) -> Result<(usize, Probe<'a>), Stop> {
        match self.path.split_first() {
            Some((step, path)) => Ok((*step, Probe { path, ..self })),
            None => {
                *self.found = Some(place);
                Err(Stop)
            }
        }
    }

    fn fields<'de, V: Visitor<'de>>(
        self,
        place: Place,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let (step, inner) = self.step(Place { names, inside: names.len(), ..place })?;
        let name = names.get(step).ok_or(Stop)?;
        visitor.visit_map(Field { name: Some(name), inner: Some(inner) })
    }

    fn elements<'de, V: Visitor<'de>>(self, place: Place, visitor: V) -> Result<V::Value, Stop> {
        let samples = self.samples;
        let (before, inner) = self.step(place)?;
        visitor.visit_seq(Elements { before, inner: Some(inner), samples })
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
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    /// Whatever comes is taken: it is not told what is expected.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        self.step(Place { hides: true, ..Place::leaf("deserialize_any") }).and(Err(Stop))
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
        let of = Some(Type::of::<V, V::Value>());
        let (_, inner) = self.step(Place { name, inside: 1, of, ..Place::leaf("newtype") })?;
        visitor.visit_newtype_struct(inner)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let of = Some(Type::of::<V, V::Value>());
        self.elements(Place { inside: 1, of, ..Place::leaf("seq") }, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        let of = Type::of::<V, V::Value>();
        let (inside, is_alike) = (len, of.is_array());
        let place = Place { inside, is_alike, of: Some(of), ..Place::leaf("tuple") };
        self.elements(place, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let of = Some(Type::of::<V, V::Value>());
        self.elements(Place { name, inside: len, of, ..Place::leaf("tuple struct") }, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let samples = self.samples;
        let of = Some(Type::of::<V, V::Value>());
        let (step, inner) = self.step(Place { inside: 2, of, ..Place::leaf("map") })?;
        let key = if step == 0 { Key::LookedAt } else { Key::Made(samples) };
        visitor.visit_map(Entry { key, inner: Some(inner) })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let of = Some(Type::of::<V, V::Value>());
        self.fields(Place { name, of, ..Place::leaf("struct") }, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let (inside, of) = (variants.len(), Some(Type::of::<V, V::Value>()));
        let place = Place { name, names: variants, inside, of, ..Place::leaf("enum") };
        let (step, inner) = self.step(place)?;
        visitor.visit_enum(Variant { name: variants.get(step).ok_or(Stop)?, inner })
    }
}

/// One field of a struct, once: some visitors go on after an error.
struct Field<'a> {
    name: Option<&'static str>,
    inner: Option<Probe<'a>>,
}

impl<'de> MapAccess<'de> for Field<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        let Some(name) = self.name.take() else { return Ok(None) };
        let name: StrDeserializer<'_, Stop> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        seed.deserialize(self.inner.take().ok_or(Stop)?)
    }
}

/// The key or the value of a map's entry, once.
struct Entry<'a> {
    key: Key<'a>,
    inner: Option<Probe<'a>>,
}

enum Key<'a> {
    LookedAt,
    Made(&'a Samples),
    Done,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        match std::mem::replace(&mut self.key, Key::Done) {
            Key::LookedAt => seed.deserialize(self.inner.take().ok_or(Stop)?).map(Some),
            Key::Made(samples) => seed.deserialize(Sample::of(samples)).map(Some),
            Key::Done => Ok(None),
        }
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
        let Some(inner) = self.inner.take() else { return Ok(None) };
        match std::mem::replace(&mut self.key, Key::Done) {
            Key::LookedAt => key.deserialize(inner).and(Err(Stop)),
            Key::Made(_) | Key::Done => value.deserialize(inner).and(Err(Stop)),
        }
    }
}

/// One element, after those before it, once.
struct Elements<'a> {
    before: usize,
    inner: Option<Probe<'a>>,
    samples: &'a Samples,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        if self.before > 0 {
            self.before -= 1;
            return seed.deserialize(Sample::of(self.samples)).map(Some);
        }
        match self.inner.take() {
            Some(inner) => seed.deserialize(inner).map(Some),
            None => Ok(None),
        }
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
        self.elements(Place { inside: len, ..Place::leaf("tuple") }, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.fields(Place::leaf("fields"), fields, visitor)
    }
}
