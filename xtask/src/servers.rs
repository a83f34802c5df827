//! Private servers, for the tasks that test against them and for `services run`.
//!
//! A server that somebody has already is named by a variable; nothing is started for it then.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::thread;

use test_servers::{Mongo, Nats, Postgres, Rabbit, ServerError};

use crate::command::{Cause, target};
use crate::steps::{Failed, Steps};

/// The variables that name servers: a PostgreSQL, a NATS with JetStream, a RabbitMQ, a replica set of MongoDB.
const POSTGRES_URL: &str = "POSTGRES_URL";
const NATS_URL: &str = "NATS_URL";
const AMQP_URL: &str = "AMQP_URL";
pub(crate) const MONGODB_URI: &str = "MONGODB_URI";

/// Those that were started. They stop, and their data goes, when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    postgres: Option<Postgres>,
    nats: Option<Nats>,
    rabbit: Option<Rabbit>,
    mongo: Option<Mongo>,
}

impl Servers {
    /// Starts those that no variable names, as a step.
    pub(crate) fn start(steps: &mut Steps) -> Result<Self, Failed> {
        let mut servers = Self::default();
        steps.step("servers", || {
            servers = Self::missing(|name| env::var_os(name).is_some())?;
            Ok(())
        })?;
        Ok(servers)
    }

    fn missing(is_set: impl Fn(&str) -> bool) -> Result<Self, Cause> {
        let folder = target().join("servers");
        let missing = |name| !is_set(name);
        let failed = |error: ServerError| error.to_string();
        let postgres = missing(POSTGRES_URL).then(|| Postgres::start(&folder));
        let nats = missing(NATS_URL).then(|| Nats::start(&folder));
        let rabbit = missing(AMQP_URL).then(|| Rabbit::start(&folder));
        let mongo = missing(MONGODB_URI).then(|| Mongo::start(&folder));
        Ok(Self {
            postgres: postgres.transpose().map_err(failed)?,
            nats: nats.transpose().map_err(failed)?,
            rabbit: rabbit.transpose().map_err(failed)?,
            mongo: mongo.transpose().map_err(failed)?,
        })
    }

    /// What tests are told of them: variables and their values.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'static str, String)> {
        let postgres = self.postgres.iter().map(|server| (POSTGRES_URL, server.url()));
        let nats = self.nats.iter().map(|server| (NATS_URL, server.url()));
        let rabbit = self.rabbit.iter().map(|server| (AMQP_URL, server.url()));
        let mongo = self.mongo.iter().map(|servers| (MONGODB_URI, servers.url()));
        postgres.chain(nats).chain(rabbit).chain(mongo)
    }
}

/// `services run`: starts them, prints the addresses of all, and stays until it is killed, by
/// Ctrl-C or otherwise; they stop then. With nothing to start it ends at once.
pub(crate) fn run() -> Result<(), Cause> {
    let servers = Servers::missing(|name| env::var_os(name).is_some())?;
    let lines = lines(&servers, |name| env::var_os(name));
    let mut output = io::stdout().lock();
    write!(output, "{lines}").and_then(|()| output.flush()).map_err(|e| e.to_string())?;
    if servers.addresses().next().is_none() {
        return Ok(());
    }
    eprintln!("They run until Ctrl-C.");
    loop {
        thread::park();
    }
}

/// A line for each server, private or not: `NAME=url`.
fn lines(servers: &Servers, current: impl Fn(&str) -> Option<OsString>) -> String {
    let others = [POSTGRES_URL, NATS_URL, AMQP_URL, MONGODB_URI]
        .into_iter()
        .filter_map(|name| Some((name, current(name)?)));
    let others = others.map(|(name, url)| (name, url.to_string_lossy().into_owned()));
    servers.addresses().chain(others).map(|(name, url)| format!("{name}={url}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_a_variable_names_is_not_started() {
        let servers = Servers::missing(|_| true).unwrap();
        assert!(servers.postgres.is_none() && servers.nats.is_none());
        assert!(servers.rabbit.is_none() && servers.mongo.is_none());
        assert_eq!(servers.addresses().count(), 0);
        let mine = |name: &str| (name == "POSTGRES_URL").then(|| "postgres://mine".into());
        assert_eq!(lines(&servers, mine), "POSTGRES_URL=postgres://mine\n");
    }

    #[test]
    fn a_server_that_is_started_is_named_by_its_variable() {
        let servers = Servers::missing(|_| false).unwrap_or_else(|cause| panic!("{cause}"));
        let postgres = servers.postgres.as_ref().unwrap().url();
        let nats = servers.nats.as_ref().unwrap().url();
        let rabbit = servers.rabbit.as_ref().unwrap().url();
        let mongo = servers.mongo.as_ref().unwrap().url();
        let told = [
            ("POSTGRES_URL", postgres.clone()),
            ("NATS_URL", nats.clone()),
            ("AMQP_URL", rabbit.clone()),
            ("MONGODB_URI", mongo.clone()),
        ];
        assert_eq!(servers.addresses().collect::<Vec<_>>(), told);
        let expected = format!(
            "POSTGRES_URL={postgres}\nNATS_URL={nats}\nAMQP_URL={rabbit}\nMONGODB_URI={mongo}\n"
        );
        assert_eq!(lines(&servers, |_| None), expected);
    }
}
