//! A test binary as a process of its own, to be stopped and killed.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::process::until;

/// How long a process may take to stop.
const STOPS: Duration = Duration::from_secs(10);

/// This test binary, started again to run one test of it. It is killed when this is dropped; its input ends with
/// this process at the latest.
///
/// ```no_run
/// use test_servers::TestProcess;
///
/// let process = TestProcess::start("race::process_that_races", "RACE", "what it is told")?;
/// process.pause()?;
/// // … it stands still in the middle of whatever it does …
/// process.go_on()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TestProcess {
    /// The process, with pipes for its input and output.
    pub child: Child,
}

impl TestProcess {
    /// Starts it, to run this test alone. It is told something in a variable.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(test: &str, variable: &str, told: &str) -> io::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(variable, told)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self { child })
    }

    /// Stops it in the middle of whatever it does, until it [goes on](Self::go_on). It stands still then.
    ///
    /// # Errors
    ///
    /// It has ended, or does not stop within ten seconds.
    pub fn pause(&self) -> io::Result<()> {
        self.signal("-STOP")?;
        let stat = format!("/proc/{}/stat", self.child.id());
        let is_stopped = || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T'))
        };
        match until(STOPS, is_stopped) {
            true => Ok(()),
            false => Err(io::Error::other("the process does not stop")),
        }
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn go_on(&self) -> io::Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> io::Result<()> {
        let pid = self.child.id().to_string();
        match Command::new("kill").args([signal, &pid]).status()?.success() {
            true => Ok(()),
            false => Err(io::Error::other("the process has ended")),
        }
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
