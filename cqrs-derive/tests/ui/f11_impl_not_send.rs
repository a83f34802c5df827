//! A handler written by hand that holds what may not move between threads.

use std::rc::Rc;

use cqrs_core::{Answer, Envelope, Handler};
use cqrs_derive::{Command, Rejection};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

struct Own;

impl Handler<Ping> for Own {
    async fn handle(&self, _: Envelope<Ping>) -> Answer<Ping> {
        let shared = Rc::new(1);
        tokio::task::yield_now().await;
        drop(shared);
        Ok(().into())
    }
}

fn main() {}
