//! The command line: which task, with which arguments.

/// What `cargo xtask help` prints.
pub(crate) const USAGE: &str = "\
The project's own commands.

Usage: cargo xtask <task>

  check         formatting, lints and documentation, warnings as errors
  test          everything the build server does: check, all tests, the examples
  bench [args]  the benchmarks of the SQLite store; the arguments are the benchmark's own
  chaos         the long form of the SQLite store's fault tests, optimised
  doc [--open]  the documentation of the workspace
  help          this text";

/// A task with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Check,
    Test,
    Bench {
        /// What is handed to the benchmark as it is.
        args: Vec<String>,
    },
    Chaos,
    Doc {
        /// Whether a browser opens.
        open: bool,
    },
    Help,
}

impl Task {
    /// Reads the arguments after the program's name. No argument asks for help.
    ///
    /// Err: what is wrong, for people.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let args: Vec<String> = args.into_iter().collect();
        let Some((name, rest)) = args.split_first() else { return Ok(Self::Help) };
        let task = match name.as_str() {
            "check" => Self::Check,
            "test" => Self::Test,
            "bench" => return Ok(Self::Bench { args: rest.to_vec() }),
            "chaos" => Self::Chaos,
            "doc" if rest == ["--open"] => return Ok(Self::Doc { open: true }),
            "doc" => Self::Doc { open: false },
            "help" | "-h" | "--help" => return Ok(Self::Help),
            other => return Err(format!("there is no task `{other}`")),
        };
        match rest.first() {
            None => Ok(task),
            Some(extra) => Err(format!("the task `{name}` does not take `{extra}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, String> {
        Task::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_task_of_the_usage_is_known() {
        let listed = USAGE.lines().filter_map(|line| line.strip_prefix("  "));
        let names: Vec<&str> = listed.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["check", "test", "bench", "chaos", "doc", "help"]);
        for name in names {
            assert!(parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn no_task_asks_for_help() {
        assert_eq!(parse(""), Ok(Task::Help));
        assert_eq!(parse("--help"), Ok(Task::Help));
    }

    #[test]
    fn an_unknown_task_is_named() {
        assert_eq!(parse("deploy"), Err("there is no task `deploy`".to_owned()));
    }

    #[test]
    fn an_argument_that_a_task_does_not_take_is_named() {
        assert_eq!(parse("check --fix"), Err("the task `check` does not take `--fix`".to_owned()));
        assert_eq!(parse("doc --close"), Err("the task `doc` does not take `--close`".to_owned()));
    }

    #[test]
    fn the_benchmark_gets_its_arguments_as_they_are() {
        let args = vec!["append".to_owned(), "--quick".to_owned()];
        assert_eq!(parse("bench append --quick"), Ok(Task::Bench { args }));
    }

    #[test]
    fn the_documentation_opens_on_request() {
        assert_eq!(parse("doc"), Ok(Task::Doc { open: false }));
        assert_eq!(parse("doc --open"), Ok(Task::Doc { open: true }));
    }
}
