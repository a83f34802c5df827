//! What the shape of a type covers, and what it does not see.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
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
    what_is_flattened_is_not_seen:
    { #[serde(flatten)] n: Line } equals { #[serde(flatten)] n: NewLine }
);

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
