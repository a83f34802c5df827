//! An aggregate of what is no id, no event, and has no default.

use cqrs_derive::Aggregate;

#[derive(Default, Aggregate)]
#[aggregate(category = "types", id = f64, event = String)]
struct Types;

impl Types {
    fn on(&mut self, _: &String) {}
}

fn main() {}
