//! What a task is made of: named steps, one after another, each with its time.

use std::fmt;
use std::time::{Duration, Instant};

use crate::command::Cause;

/// The steps that ran, in order. Its display is the summary.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    passed: bool,
}

/// The step that failed. Nothing ran after it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    step: &'static str,
    cause: Cause,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the step `{}` failed: {}", self.step, self.cause)
    }
}

impl Steps {
    /// Runs a step and prints its name and its time.
    ///
    /// Err: the step's name and cause; the caller hands it on, and the task ends.
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), Cause>,
    ) -> Result<(), Failed> {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work();
        let step = Step { name, took: start.elapsed(), passed: outcome.is_ok() };
        println!("{step}");
        self.done.push(step);
        outcome.map_err(|cause| Failed { step: name, cause })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.passed { "ok" } else { "FAILED" };
        write!(f, "   {:<24}{outcome:<8}{:>8.1} s", self.name, self.took.as_secs_f64())
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== summary")?;
        for step in &self.done {
            writeln!(f, "{step}")?;
        }
        let took = self.done.iter().map(|step| step.took).sum();
        let passed = self.done.iter().all(|step| step.passed);
        write!(f, "{}", Step { name: "all", took, passed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_names_itself_and_its_cause() {
        let mut steps = Steps::default();
        assert_eq!(steps.step("lint", || Ok(())), Ok(()));
        let failed = steps.step("tests", || Err("three of them".to_owned())).unwrap_err();
        assert_eq!(failed.to_string(), "the step `tests` failed: three of them");
    }

    #[test]
    fn the_summary_lists_every_step_and_the_sum() {
        let step =
            |name, millis, passed| Step { name, took: Duration::from_millis(millis), passed };
        let steps = Steps { done: vec![step("lint", 1_500, true), step("tests", 500, false)] };
        let lines: Vec<String> = steps
            .to_string()
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            ["== summary", "lint ok 1.5 s", "tests FAILED 0.5 s", "all FAILED 2.0 s"]
        );
    }
}
