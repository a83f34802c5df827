//! What all servers have in common: a home, a log, and a process that is started, killed, paused and stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ServerError;
use crate::guard::Guard;
use crate::home::Home;
use crate::process::{KILLED, Process, Program, until};

/// How long a server may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(20);

/// A server that may run or not. Dropped, what runs is killed and the home is removed.
#[derive(Debug)]
pub(crate) struct Server {
    // Dropped in this order: the guard has its eye on the folder to the last.
    process: Option<Process>,
    home: Home,
    guard: Arc<Guard>,
    name: &'static str,
}

/// How it is started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) file: &'a Path,
    pub(crate) args: &'a [String],
    /// The folder it starts in.
    pub(crate) folder: &'a Path,
    /// How long it may take.
    pub(crate) bound: Duration,
}

impl Server {
    /// A server that does not run yet, with a home in that folder. As root it runs as the first of the users
    /// that exists. `signal` ends it should this process die.
    pub(crate) fn new(
        name: &'static str,
        folder: &Path,
        users: &[&str],
        signal: &str,
    ) -> Result<Self, ServerError> {
        let home = Home::new(folder, &name.to_lowercase(), users)?;
        let guard = Guard::start(home.path(), signal).map_err(ServerError::io("start a shell"))?;
        Ok(Self { process: None, home, guard: Arc::new(guard), name })
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// The process id of its first process. None: it does not run.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The file with its messages.
    pub(crate) fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// Runs a program of its to its end.
    pub(crate) fn complete(&self, start: &Start<'_>) -> Result<(), ServerError> {
        let what = start.file.file_name().unwrap_or_default().to_string_lossy();
        let mut process = self.process(start)?;
        let status = process.ended(start.bound);
        let status = status.map_err(ServerError::io(format_args!("wait for {what}")))?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.died(format!("{what} ended with {status}"), 0)),
            None => Err(self.too_slow(what.into_owned(), start.bound, 0)),
        }
    }

    /// Starts it, and looks until it answers; `answers` is given the process id.
    pub(crate) fn start(
        &mut self,
        start: &Start<'_>,
        mut answers: impl FnMut(u32) -> bool,
    ) -> Result<(), ServerError> {
        let log_from = self.log().metadata().map_or(0, |log| log.len());
        let mut process = self.process(start)?;
        let mut ended = Ok(None);
        let is_there = until(start.bound, || {
            ended = process.ended(Duration::ZERO);
            !matches!(ended, Ok(None)) || answers(process.pid())
        });
        if let Some(status) =
            ended.map_err(ServerError::io(format_args!("wait for {}", self.name)))?
        {
            let what = format!("{} does not start, it ended with {status}", self.name);
            return Err(self.died(what, log_from));
        }
        self.process = Some(process);
        if is_there {
            Ok(())
        } else {
            Err(self.too_slow(format!("the start of {}", self.name), start.bound, log_from))
        }
    }

    /// Whether it can be started: it does not run, or has ended by itself.
    pub(crate) fn must_not_run(&mut self) -> Result<(), ServerError> {
        if let Some(process) = &mut self.process {
            let ended = process.ended(Duration::ZERO);
            let ended = ended.map_err(ServerError::io(format_args!("wait for {}", self.name)))?;
            if ended.is_none() {
                return Err(ServerError::NotNow(format!("{} runs already", self.name)));
            }
            self.process = None;
        }
        Ok(())
    }

    /// `kill -9`, and waits until it is gone with all its children.
    pub(crate) fn kill(&mut self) -> Result<(), ServerError> {
        let name = self.name;
        let gone = self.running()?.kill().map_err(ServerError::io(format_args!("kill {name}")))?;
        if gone.is_none() {
            return Err(self.too_slow(format!("the end of {name}'s children"), KILLED, 0));
        }
        self.process = None;
        Ok(())
    }

    /// Ends it with that signal. None: it takes too long, and still runs.
    pub(crate) fn end(&mut self, signal: &str) -> Result<Option<ExitStatus>, ServerError> {
        let name = self.name;
        let process = self.running()?;
        let ended = process
            .go_on()
            .and_then(|()| process.signal(signal))
            .and_then(|()| process.ended(STOP))
            .map_err(ServerError::io(format_args!("stop {name}")))?;
        if ended.is_some() {
            self.process = None;
        }
        Ok(ended)
    }

    /// Stops all its processes in the middle of what they do.
    pub(crate) fn pause(&mut self) -> Result<(), ServerError> {
        let name = self.name;
        self.running()?.pause().map_err(ServerError::io(format_args!("pause {name}")))
    }

    /// Lets it go on after `pause`.
    pub(crate) fn go_on(&mut self) -> Result<(), ServerError> {
        let name = self.name;
        self.running()?.go_on().map_err(ServerError::io(format_args!("let {name} go on")))
    }

    fn running(&mut self) -> Result<&mut Process, ServerError> {
        let name = self.name;
        self.process.as_mut().ok_or_else(|| ServerError::NotNow(format!("{name} does not run")))
    }

    fn process(&self, start: &Start<'_>) -> Result<Process, ServerError> {
        let log = self.log();
        let program =
            Program { file: start.file, args: start.args, folder: start.folder, log: &log };
        Process::start(&program, &self.home, &self.guard)
            .map_err(ServerError::io(format_args!("start {}", start.file.display())))
    }

    fn died(&self, what: String, log_from: u64) -> ServerError {
        ServerError::Ended { what, log: self.end_of_log(log_from) }
    }

    pub(crate) fn too_slow(&self, what: String, bound: Duration, log_from: u64) -> ServerError {
        ServerError::TooSlow { what, bound, log: self.end_of_log(log_from) }
    }

    /// The last lines of the log after that many bytes.
    fn end_of_log(&self, from: u64) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = usize::try_from(from).ok().and_then(|from| log.get(from..)).unwrap_or_default();
        let log = String::from_utf8_lossy(log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
