//! What the shape of a type covers, and what it does not see.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use uuid::Uuid;

use super::*;
use crate::message::fingerprint::Fingerprint;

fn shape<T: DeserializeOwned>() -> Fingerprint {
    let mut f = Fingerprinter::new();
    add::<T>(&mut f);
    f.finish()
}

/// Two types of one name in two modules.
macro_rules! two {
    ($test:ident: { $($a:tt)* } $relation:ident { $($b:tt)* }) => {
        #[test]
        fn $test() {
            mod a {
                use super::*;
                #[derive(Deserialize)]
                #[expect(dead_code, reason = "only its shape is looked at")]
                pub(super) struct State { $($a)* }
            }
            mod b {
                use super::*;
                #[derive(Deserialize)]
                #[expect(dead_code, reason = "only its shape is looked at")]
                pub(super) struct State { $($b)* }
            }
            two!(@ $relation shape::<a::State>(), shape::<b::State>());
        }
    };
    (@ differs $a:expr, $b:expr) => { assert_ne!($a, $b) };
    (@ equals $a:expr, $b:expr) => { assert_eq!($a, $b) };
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
struct Line {
    amount: u64,
}

#[derive(Deserialize)]
#[serde(rename = "Line")]
#[expect(dead_code, reason = "only its shape is looked at")]
struct NewLine {
    amount: u64,
    tax: u64,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
enum Status {
    Open,
    Closed { at: i64 },
    Moved(u8, Line),
}

#[derive(Deserialize)]
#[serde(rename = "Status")]
#[expect(dead_code, reason = "only its shape is looked at")]
enum NewStatus {
    Open,
    Closed { at: i64 },
    Moved(u8, NewLine),
}

two!(the_same_fields_have_the_same_shape: { n: u64, s: String } equals { n: u64, s: String });
two!(a_new_field_shows: { n: u64 } differs { n: u64, m: u64 });
two!(a_new_name_shows: { n: u64 } differs { m: u64 });
two!(another_number_shows: { n: u64 } differs { n: i64 });
two!(an_option_shows: { n: u64 } differs { n: Option<u64> });
two!(a_list_shows_what_is_in_it: { n: Vec<Line> } differs { n: Vec<NewLine> });
two!(an_option_shows_what_is_in_it: { n: Option<Line> } differs { n: Option<NewLine> });
two!(a_map_shows_its_values: { n: HashMap<Uuid, Line> } differs { n: HashMap<Uuid, NewLine> });
two!(a_map_shows_its_keys: { n: BTreeMap<u32, u8> } differs { n: BTreeMap<String, u8> });
two!(a_tuple_shows_all_its_elements: { n: (Line, Line) } differs { n: (Line, NewLine) });
two!(an_array_shows_its_length: { n: [u8; 2] } differs { n: [u8; 3] });
two!(a_box_is_what_is_in_it: { n: Box<Line> } equals { n: Line });
two!(variants_show_what_is_in_them: { n: Status } differs { n: NewStatus });
two!(a_text_with_rules_hides_nothing_after_it: { a: Uuid, n: Line } differs { a: Uuid, n: NewLine });
two!(
    what_cannot_be_zero_hides_nothing_after_it:
    { a: std::num::NonZeroU8, n: Line } differs { a: std::num::NonZeroU8, n: NewLine }
);
two!(
    what_stands_beside_flattened_fields_is_not_seen:
    { a: u8, #[serde(flatten)] n: Line } equals { a: u8, b: Option<u8>, #[serde(flatten)] n: Line }
);
two!(
    what_is_flattened_is_not_seen:
    { #[serde(flatten)] n: Line } equals { #[serde(flatten)] n: NewLine }
);

two!(a_tuple_shows_what_follows_an_id: { n: Vec<(Uuid, Line)> } differs { n: Vec<(Uuid, NewLine)> });
two!(
    a_tuple_shows_what_follows_several_texts_with_rules:
    { n: (crate::Timestamp, Uuid, String, Email, Line) }
    differs { n: (crate::Timestamp, Uuid, String, Email, NewLine) }
);
two!(
    a_tuple_shows_what_follows_a_number_with_rules:
    { n: (std::num::NonZeroU8, Line) } differs { n: (std::num::NonZeroU8, NewLine) }
);
two!(
    a_variant_shows_what_follows_an_id:
    { n: Placed<Line> } differs { n: Placed<NewLine> }
);
two!(
    an_array_shows_what_is_in_it:
    { n: [Line; 30] } differs { n: [NewLine; 30] }
);
two!(
    a_type_that_holds_itself_leaves_room_for_what_follows:
    { e: Vec<Expression>, n: Deep<Line> } differs { e: Vec<Expression>, n: Deep<NewLine> }
);
two!(
    one_generic_type_in_itself_is_two_types:
    { n: One<One<One<Line>>> } differs { n: One<One<One<NewLine>>> }
);
two!(
    which_of_two_types_of_a_name_shows:
    { a: Line, b: NewLine, c: Line } differs { a: Line, b: NewLine, c: NewLine }
);

/// A text that none of the simple ones is.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Email;

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('@') { Ok(Self) } else { Err("not an address") }
    }
}

/// Takes nothing that could be thought of.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Password;

impl TryFrom<String> for Password {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "open sesame" { Ok(Self) } else { Err("no") }
    }
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
enum Placed<T> {
    Moved(Uuid, T),
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
struct One<T> {
    it: T,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
struct Deep<T> {
    it: Option<Vec<One<Option<One<T>>>>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
enum Expression {
    Constant(u64),
    Add(Box<Expression>, Box<Expression>),
    Multiply(Box<Expression>, Box<Expression>),
    If { is: Box<Expression>, then: Box<Expression>, otherwise: Box<Expression> },
    Not(Box<Expression>),
}

fn unseen<T: DeserializeOwned>() -> Vec<String> {
    add::<T>(&mut Fingerprinter::new())
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
struct Partly {
    seen: Vec<(Uuid, Email, Line)>,
    guarded: Vec<(Password, Line)>,
    json: BTreeMap<String, serde_json::Value>,
    flat: Flat,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
struct Flat {
    own: u64,
    #[serde(flatten)]
    line: Line,
}

#[test]
fn what_is_not_seen_is_said() {
    assert_eq!(unseen::<Partly>(), ["json[value]", "flat[value]", "guarded[].1"]);
    assert_eq!(unseen::<serde_json::Value>(), ["all of it"]);
    assert_eq!(unseen::<Vec<Expression>>(), [""; 0]);
    assert_eq!(unseen::<Status>(), [""; 0]);
}

/// Keeps what it can read, and goes on after what it cannot.
struct Lenient;

macro_rules! lenient {
    ($name:ident, $ask:ident($($before:expr),*)) => {
        struct $name;

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.$ask($($before,)* Lenient).map(|_| Self)
            }
        }
    };
}
lenient!(LenientMap, deserialize_map());
lenient!(LenientList, deserialize_seq());
lenient!(LenientTuple, deserialize_tuple(3));
lenient!(LenientStruct, deserialize_struct("Lenient", &["a", "b"]));

impl<'de> Visitor<'de> for Lenient {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        for _ in 0..10_000 {
            match map.next_key::<String>() {
                Ok(None) => return Ok(self),
                Ok(Some(_)) => drop(map.next_value::<Line>()),
                Err(_) => {}
            }
        }
        panic!("it has no end");
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        for _ in 0..10_000 {
            if let Ok(None) = seq.next_element::<Line>() {
                return Ok(self);
            }
        }
        panic!("it has no end");
    }
}

#[test]
fn whoever_goes_on_after_an_error_comes_to_an_end() {
    shape::<LenientMap>();
    shape::<LenientList>();
    shape::<LenientTuple>();
    shape::<LenientStruct>();
    assert_ne!(shape::<LenientMap>(), shape::<LenientList>());
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its shape is looked at")]
enum Tree {
    Node(Box<Tree>, Box<Tree>),
    Leaf(Status),
}

#[test]
fn a_type_that_holds_itself_comes_to_an_end() {
    assert_eq!(shape::<Tree>(), shape::<Tree>());
    assert_ne!(shape::<Tree>(), shape::<Vec<Tree>>());
}

#[test]
fn it_is_the_same_in_every_process() {
    // Were it another one after an update, all snapshots would be made anew, which is right but
    // should be known.
    assert_eq!(format!("{:?}", shape::<Status>()), "1c6bfea0d6927a542f115da5109cc253");
}
