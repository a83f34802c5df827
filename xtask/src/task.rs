//! The command line: which task, with which arguments.

/// What `cargo xtask help` prints.
pub(crate) const USAGE: &str = "\
The project's own commands.

Usage: cargo xtask <task>

  check         formatting, lints and documentation, warnings as errors
  test          everything the build server does: check, all tests, the examples
  services      what the tests need beside Rust: installs what is missing
  services run  private servers, until Ctrl-C; prints their addresses as NAME=url
  bench [sqlite|http|dispatch|postgres|mongo|nats|rabbitmq|all] [args]
                the benchmarks of the SQLite store, of HTTP, of a call beside other libraries
                (which needs valgrind), of PostgreSQL beside other libraries, or of the buses beside
                their clients; the arguments are the benchmark's own
  chaos         the long form of the fault tests, optimised
  doc [--open]  the documentation of the workspace
  help          this text";

/// A task with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Check,
    Test,
    Services,
    Serve,
    Bench {
        /// Which; none: all of them.
        of: Vec<Benchmark>,
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

/// A benchmark that is run on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Benchmark {
    /// Of the SQLite store.
    Sqlite,
    /// Of the learning platform, with HTTP and without.
    Http,
    /// Of a call, beside other libraries.
    Dispatch,
    /// Of commands on PostgreSQL, beside other libraries.
    Postgres,
    /// Of the MongoDB store.
    Mongo,
    /// Of the NATS bus.
    Nats,
    /// Of the RabbitMQ bus.
    Rabbitmq,
}

impl Benchmark {
    const ALL: [Self; 7] = [
        Self::Sqlite,
        Self::Http,
        Self::Dispatch,
        Self::Postgres,
        Self::Mongo,
        Self::Nats,
        Self::Rabbitmq,
    ];

    /// Whether it measures a server.
    pub(crate) fn needs_servers(self) -> bool {
        match self {
            Self::Sqlite | Self::Http | Self::Dispatch => false,
            Self::Postgres | Self::Mongo | Self::Nats | Self::Rabbitmq => true,
        }
    }
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
            "services" if rest == ["run"] => return Ok(Self::Serve),
            "services" => Self::Services,
            "bench" => return parse_bench(rest),
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

fn parse_bench(args: &[String]) -> Result<Task, String> {
    let Some((name, args)) = args.split_first() else {
        return Ok(Task::Bench { of: Benchmark::ALL.to_vec(), args: Vec::new() });
    };
    let of = match name.as_str() {
        "sqlite" => vec![Benchmark::Sqlite],
        "http" => vec![Benchmark::Http],
        "dispatch" => vec![Benchmark::Dispatch],
        "postgres" => vec![Benchmark::Postgres],
        "mongo" => vec![Benchmark::Mongo],
        "nats" => vec![Benchmark::Nats],
        "rabbitmq" => vec![Benchmark::Rabbitmq],
        "all" if args.is_empty() => Benchmark::ALL.to_vec(),
        "all" => return Err("each benchmark has arguments of its own: name one".to_owned()),
        other => {
            return Err(format!(
                "there is no benchmark `{other}`: sqlite, http, dispatch, postgres, mongo, nats, rabbitmq or all"
            ));
        }
    };
    Ok(Task::Bench { of, args: args.to_vec() })
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
        let names = listed.filter_map(|line| line.split(' ').next());
        let mut names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        names.dedup();
        assert_eq!(names, ["check", "test", "services", "bench", "chaos", "doc", "help"]);
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
    fn a_benchmark_gets_its_arguments_as_they_are() {
        let args = vec!["append".to_owned(), "--quick".to_owned()];
        let of = vec![Benchmark::Sqlite];
        assert_eq!(parse("bench sqlite append --quick"), Ok(Task::Bench { of, args }));
    }

    #[test]
    fn all_benchmarks_run_unless_one_is_named() {
        let all = Task::Bench { of: Benchmark::ALL.to_vec(), args: Vec::new() };
        assert_eq!(parse("bench").as_ref(), Ok(&all));
        assert_eq!(parse("bench all"), Ok(all));
        let http = Task::Bench { of: vec![Benchmark::Http], args: Vec::new() };
        assert_eq!(parse("bench http"), Ok(http));
    }

    #[test]
    fn a_benchmark_that_is_none_is_named() {
        let wrong = "there is no benchmark `append`: sqlite, http, dispatch, postgres, mongo, nats, rabbitmq or all";
        assert_eq!(parse("bench append"), Err(wrong.to_owned()));
        assert!(parse("bench all --quick").is_err());
    }

    #[test]
    fn servers_run_on_request() {
        assert_eq!(parse("services"), Ok(Task::Services));
        assert_eq!(parse("services run"), Ok(Task::Serve));
        let wrong = "the task `services` does not take `stop`".to_owned();
        assert_eq!(parse("services stop"), Err(wrong));
    }

    #[test]
    fn the_documentation_opens_on_request() {
        assert_eq!(parse("doc"), Ok(Task::Doc { open: false }));
        assert_eq!(parse("doc --open"), Ok(Task::Doc { open: true }));
    }
}
