//! What the usual types look like where they are stored.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::message::id::MessageId;
use crate::message::timestamp::Timestamp;
use crate::schema::field::FieldType;
use crate::schema::{Indexable, Schema};

macro_rules! described {
    ($($described:ident: $($of:ty),+;)+) => { $( $(
        impl Schema for $of {
            fn field_type() -> FieldType {
                FieldType::$described
            }
        }
    )+ )+ };
}

described! {
    Text: String, str, char;
    Integer: i8, i16, i32, i64, isize, u8, u16, u32;
    Unsigned: u64, usize;
    Float: f32, f64;
    Bool: bool;
    Uuid: uuid::Uuid, MessageId;
    Time: Timestamp;
    Json: serde_json::Value;
}

macro_rules! indexable {
    ($($of:ty),*) => { $(
        impl Indexable for $of {}
    )* };
}

indexable!(String, str, char, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, bool);
indexable!(uuid::Uuid, MessageId, Timestamp);

macro_rules! the_same {
    ($($of:ty),*) => { $(
        impl<T: Schema + ?Sized> Schema for $of {
            fn field_type() -> FieldType {
                T::field_type()
            }
        }
        impl<T: Indexable + ?Sized> Indexable for $of {}
    )* };
}

the_same!(Box<T>, Rc<T>, Arc<T>, &T);

impl<T: Schema + ToOwned + ?Sized> Schema for Cow<'_, T> {
    fn field_type() -> FieldType {
        T::field_type()
    }
}

impl<T: Indexable + ToOwned + ?Sized> Indexable for Cow<'_, T> {}

impl<T: Schema> Schema for Option<T> {
    fn field_type() -> FieldType {
        T::field_type().optional()
    }
}

impl<T: Indexable> Indexable for Option<T> {}

macro_rules! lists {
    ($($of:ty),*) => { $(
        impl<T: Schema> Schema for $of {
            fn field_type() -> FieldType {
                T::field_type().list()
            }
        }
    )* };
}

lists!(Vec<T>, VecDeque<T>, BTreeSet<T>, [T]);

impl<T: Schema, S> Schema for HashSet<T, S> {
    fn field_type() -> FieldType {
        T::field_type().list()
    }
}

impl<T: Schema, const N: usize> Schema for [T; N] {
    fn field_type() -> FieldType {
        T::field_type().list()
    }
}

/// Their keys are data, and no fields.
impl<K, T> Schema for BTreeMap<K, T> {
    fn field_type() -> FieldType {
        FieldType::Json
    }
}

/// Their keys are data, and no fields.
impl<K, T, S> Schema for HashMap<K, T, S> {
    fn field_type() -> FieldType {
        FieldType::Json
    }
}
