//! Names that no message has.

use cqrs_derive::Command;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "")]
struct Empty;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.CreateCourse")]
struct Capital;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test..ping")]
struct Dots;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping\n")]
struct Line;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
struct Long;

fn main() {}
