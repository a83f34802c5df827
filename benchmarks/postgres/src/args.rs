//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::contender::Measure;

/// What `help` prints.
pub(crate) const USAGE: &str = "\
Usage: postgres [what ...] [options]

what: throughput, length, replay, round-trips; nothing means all

  --rounds N          how often each is measured                        (5)
  --seconds S         how long a throughput is measured, after a warm-up (3)
  --clients 1,8,...   how many clients at once                          (1,8,32,128)
  --events N          how many events are replayed                      (1000000)
  --there N           how many are there before throughput is measured  (10000)
  --pool N            connections of a pool of those that have one      (10)
  --only name,name    contenders whose name contains one of these
  --json FILE         writes all rounds there";

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Wanted {
    Help,
    Run(Args),
    /// The program calls itself with this, so that memory is that of one replay alone.
    ReplayHere {
        contender: String,
        url: String,
        pool: u32,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Args {
    pub(crate) what: Vec<Measure>,
    pub(crate) rounds: usize,
    pub(crate) window: Duration,
    pub(crate) clients: Vec<usize>,
    pub(crate) events: i32,
    pub(crate) there: i32,
    pub(crate) pool: u32,
    pub(crate) only: Vec<String>,
    pub(crate) json: Option<PathBuf>,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            what: Vec::new(),
            rounds: 5,
            window: Duration::from_secs(3),
            clients: vec![1, 8, 32, 128],
            events: 1_000_000,
            there: 10_000,
            pool: 10,
            only: Vec::new(),
            json: None,
        }
    }
}

/// Err: what is wrong, for people.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Wanted, String> {
    let args: Vec<String> = args.into_iter().collect();
    if let [name, contender, url, pool] = &args[..]
        && name == "replay-here"
    {
        let (contender, url) = (contender.clone(), url.clone());
        return Ok(Wanted::ReplayHere { contender, url, pool: number("pool", pool)? });
    }
    let mut wanted = Args::default();
    let mut rest = args.into_iter();
    while let Some(arg) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("`{arg}` wants a value"));
        match arg.as_str() {
            "help" | "-h" | "--help" => return Ok(Wanted::Help),
            "throughput" => wanted.what.push(Measure::Throughput),
            "length" => wanted.what.push(Measure::Length),
            "replay" => wanted.what.push(Measure::Replay),
            "round-trips" => wanted.what.push(Measure::RoundTrips),
            "--rounds" => wanted.rounds = number(&arg, &value()?)?,
            "--seconds" => {
                let seconds: f64 = number(&arg, &value()?)?;
                wanted.window = Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())?;
            }
            "--clients" => {
                let numbers = value()?;
                let numbers = numbers.split(',').map(|n| number("--clients", n));
                wanted.clients = numbers.collect::<Result<_, _>>()?;
            }
            "--events" => wanted.events = number(&arg, &value()?)?,
            "--there" => wanted.there = number(&arg, &value()?)?,
            "--pool" => wanted.pool = number(&arg, &value()?)?,
            "--only" => wanted.only = value()?.split(',').map(str::to_owned).collect(),
            "--json" => wanted.json = Some(value()?.into()),
            other => return Err(format!("there is no `{other}`")),
        }
    }
    if wanted.what.is_empty() {
        use Measure::{Length, Replay, RoundTrips, Throughput};
        wanted.what = vec![RoundTrips, Throughput, Length, Replay];
    }
    if wanted.rounds == 0 || wanted.clients.contains(&0) {
        return Err("none of something is nothing to measure".to_owned());
    }
    Ok(Wanted::Run(wanted))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{name}` wants a number, not `{value}`"))
}
