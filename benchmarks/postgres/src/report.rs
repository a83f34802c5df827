//! What came out: a table for people, JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::args::Args;
use crate::contender::{Contender, Result};
use crate::server::Facts;
use crate::statistics::median;

/// The table of commands per second has more to say than its figures.
pub(crate) const COMMANDS: &str = "commands per second";

/// All figures of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    server: Facts,
    rounds: usize,
    seconds: f64,
    pool: u32,
    series: Vec<Series>,
    failures: Vec<Failure>,
}

/// One figure, as often as it was measured.
#[derive(Debug, Serialize)]
struct Series {
    measure: &'static str,
    case: String,
    contender: &'static str,
    rounds: Vec<f64>,
    median: f64,
}

#[derive(Debug, Serialize)]
struct Failure {
    contender: &'static str,
    case: String,
    error: String,
}

impl Report {
    pub(crate) fn new(args: &Args, server: Facts) -> Self {
        Self {
            server,
            rounds: args.rounds,
            seconds: args.window.as_secs_f64(),
            pool: args.pool,
            series: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Takes in what was measured once.
    pub(crate) fn add(
        &mut self,
        measure: &'static str,
        case: impl Into<String>,
        contender: &dyn Contender,
        value: f64,
    ) {
        let (case, contender) = (case.into(), contender.name());
        let place = self
            .series
            .iter()
            .position(|s| s.measure == measure && s.case == case && s.contender == contender)
            .unwrap_or_else(|| {
                let rounds = Vec::new();
                self.series.push(Series { measure, case, contender, rounds, median: 0.0 });
                self.series.len() - 1
            });
        let series = &mut self.series[place];
        series.rounds.push(value);
        series.median = median(&series.rounds).expect("there is one at least");
    }

    /// Takes in that it could not be measured.
    pub(crate) fn fail(
        &mut self,
        case: impl Into<String>,
        contender: &dyn Contender,
        error: &crate::contender::Error,
    ) {
        let (case, contender, error) = (case.into(), contender.name(), error.to_string());
        eprintln!("failed: {contender}, {case}: {error}");
        self.failures.push(Failure { contender, case, error });
    }

    pub(crate) fn failures(&self) -> usize {
        self.failures.len()
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// A table for each measure, in the order of the contenders, and the notes below.
    pub(crate) fn table(&self, contenders: &[Box<dyn Contender>]) -> String {
        let mut text = format!(
            "\nPostgreSQL {}, fsync {}, synchronous_commit {}, shared_buffers {}, {} cores; medians \
             of {} rounds, throughput over {} s, pools of {}\n",
            self.server.version,
            self.server.fsync,
            self.server.synchronous_commit,
            self.server.shared_buffers,
            self.server.cores,
            self.rounds,
            self.seconds,
            self.pool,
        );
        for measure in distinct(self.series.iter().map(|s| s.measure)) {
            self.one_table(&mut text, measure, contenders);
        }
        text.push('\n');
        for contender in contenders {
            let _ = writeln!(text, "{}: {}", contender.name(), contender.note());
        }
        for Failure { contender, case, error } in &self.failures {
            let _ = writeln!(text, "failed: {contender}, {case}: {error}");
        }
        text
    }

    fn one_table(&self, text: &mut String, measure: &str, contenders: &[Box<dyn Contender>]) {
        let of_measure = self.series.iter().filter(|s| s.measure == measure);
        let cases = distinct(of_measure.map(|s| s.case.as_str()));
        let _ = write!(text, "\n{measure:<40}");
        for case in &cases {
            let _ = write!(text, "{case:>18}");
        }
        text.push('\n');
        for contender in contenders {
            let medians: Vec<Option<f64>> =
                cases.iter().map(|case| self.median(measure, case, contender.name())).collect();
            if medians.iter().all(Option::is_none) {
                continue;
            }
            let _ = write!(text, "{:<40}", contender.name());
            for (case, median) in cases.iter().zip(medians) {
                let Some(median) = median else {
                    let _ = write!(text, "{:>18}", "-");
                    continue;
                };
                let peer = (measure == COMMANDS)
                    .then(|| self.median(measure, case, "cqrs-es"))
                    .flatten()
                    .map(|peer| format!(" {:>6.2}x", median / peer))
                    .unwrap_or_default();
                let _ = write!(text, "{:>18}", format!("{}{peer}", figure(median)));
            }
            text.push('\n');
            let Some(floor) = contender.floor().filter(|_| measure == COMMANDS) else { continue };
            let _ = write!(text, "{:<40}", format!("  of `{floor}`"));
            for case in &cases {
                let share = self
                    .median(measure, case, contender.name())
                    .zip(self.median(measure, case, floor))
                    .map(|(median, floor)| format!("{:.0} %", 100.0 * median / floor));
                let _ = write!(text, "{:>18}", share.unwrap_or_else(|| "-".to_owned()));
            }
            text.push('\n');
        }
    }

    fn median(&self, measure: &str, case: &str, contender: &str) -> Option<f64> {
        self.series
            .iter()
            .find(|s| s.measure == measure && s.case == case && s.contender == contender)
            .map(|s| s.median)
    }
}

fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    words.for_each(|word| {
        if !seen.contains(&word) {
            seen.push(word);
        }
    });
    seen
}

/// Three digits or more, and no more than two behind the point.
fn figure(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
