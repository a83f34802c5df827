//! Simple values of a type: zero, empty, the first variant, and others where a type does not take
//! these.

use std::cell::{Cell, RefCell};

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};

use crate::domain::shape::Stop;

/// How deep a value may be: the first variant of an enum may hold the enum.
const DEPTH: u8 = 16;

/// How many variants of an enum are tried.
const VARIANTS: usize = 8;

/// What texts with rules of their own take, the more common first.
const TEXTS: &[&str] = &[
    "",
    "00000000-0000-0000-0000-000000000000",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "a@example.org",
    "0",
    "127.0.0.1",
    "https://example.org/",
    "00:00:00",
    "1970-01-01T00:00:00",
    "EUR",
    "en",
    "0.0.0",
    "+12025550123",
    "127.0.0.1:80",
    "PT0S",
    "UTC",
    "1970-01-01T00:00:00+00:00[UTC]",
];

/// Which of the possible values are taken, in the order in which values are asked for.
#[derive(Default)]
pub(super) struct Samples {
    chosen: RefCell<Vec<Choice>>,
    asked: Cell<usize>,
}

struct Choice {
    which: usize,
    of: usize,
}

impl Samples {
    /// Which of so many is taken for what is asked for now.
    fn choose(&self, of: usize) -> usize {
        let n = self.asked.replace(self.asked.get() + 1);
        let mut chosen = self.chosen.borrow_mut();
        match chosen.get(n) {
            Some(choice) => choice.which,
            None => {
                chosen.push(Choice { which: 0, of });
                0
            }
        }
    }

    /// Goes on to other values; `false`: there are none. The last one that was asked for is the one
    /// that was not taken, as far as anybody knows.
    pub(super) fn others(&self) -> bool {
        let mut chosen = self.chosen.borrow_mut();
        chosen.truncate(self.asked.replace(0));
        while let Some(Choice { which, of }) = chosen.pop() {
            if which + 1 < of {
                chosen.push(Choice { which: which + 1, of });
                return true;
            }
        }
        false
    }
}

/// Makes a value.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    samples: &'a Samples,
    depth: u8,
}

impl<'a> Sample<'a> {
    pub(super) fn of(samples: &'a Samples) -> Self {
        Self { samples, depth: DEPTH }
    }

    fn inner(self) -> Result<Self, Stop> {
        let depth = self.depth.checked_sub(1).ok_or(Stop)?;
        Ok(Self { depth, ..self })
    }
}

impl IntoDeserializer<'_, Stop> for Sample<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! simple {
    ($($method:ident: $visit:ident($values:expr),)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            visitor.$visit($values[self.samples.choose($values.len())])
        }
    )* };
}

impl<'de> Deserializer<'de> for Sample<'_> {
    type Error = Stop;

    simple! {
        deserialize_bool: visit_bool([false, true]),
        deserialize_i8: visit_i8([0, 1]),
        deserialize_i16: visit_i16([0, 1]),
        deserialize_i32: visit_i32([0, 1]),
        deserialize_i64: visit_i64([0, 1]),
        deserialize_i128: visit_i128([0, 1]),
        deserialize_u8: visit_u8([0, 1]),
        deserialize_u16: visit_u16([0, 1]),
        deserialize_u32: visit_u32([0, 1]),
        deserialize_u64: visit_u64([0, 1]),
        deserialize_u128: visit_u128([0, 1]),
        deserialize_f32: visit_f32([0.0, 1.0]),
        deserialize_f64: visit_f64([0.0, 1.0]),
        deserialize_char: visit_char(['0', 'a', 'A']),
        deserialize_str: visit_str(TEXTS),
        deserialize_string: visit_str(TEXTS),
        deserialize_bytes: visit_bytes([&[][..], &[0; 16]]),
        deserialize_byte_buf: visit_bytes([&[][..], &[0; 16]]),
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.samples.choose(TEXTS.len() + 3) {
            0 => visitor.visit_unit(),
            1 => visitor.visit_u64(0),
            2 => visitor.visit_u64(1),
            n => visitor.visit_str(TEXTS[n - 3]),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_str("")
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.samples.choose(2) {
            0 => visitor.visit_none(),
            _ => visitor.visit_some(self.inner()?),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self.inner()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_tuple(self.samples.choose(2), visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        let inner = self.inner()?;
        visitor.visit_seq(SeqDeserializer::new((0..len).map(|_| inner)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let inner = self.inner()?;
        let entries = self.samples.choose(2);
        visitor.visit_map(MapDeserializer::new((0..entries).map(|_| (inner, inner))))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let inner = self.inner()?;
        visitor.visit_map(MapDeserializer::new(fields.iter().map(|&field| (field, inner))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if variants.is_empty() {
            return Err(Stop);
        }
        let name = variants[self.samples.choose(variants.len().min(VARIANTS))];
        visitor.visit_enum(One { name, content: self.inner()? })
    }
}

/// A variant of an enum.
struct One<'a> {
    name: &'static str,
    content: Sample<'a>,
}

impl<'de> EnumAccess<'de> for One<'_> {
    type Error = Stop;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Stop> {
        let name: StrDeserializer<'_, Stop> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for One<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        seed.deserialize(self.content)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.content.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.content.deserialize_struct("", fields, visitor)
    }
}
