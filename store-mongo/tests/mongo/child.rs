//! This test binary as a process of its own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::short::within;

/// Starts this test binary again, to run one test of it. What it is told is its affair: its input ends
/// with this process at the latest.
pub(crate) fn child(test: &str, variable: &str, value: &str) -> Killed {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    Killed(child.unwrap())
}

/// A process that is killed, at the end of a test at the latest, however that ends.
pub(crate) struct Killed(pub(crate) Child);

impl Killed {
    /// Stops it in the middle of whatever it does, until it [goes on](Self::go_on).
    pub(crate) async fn pause(&self) {
        self.signal("-STOP");
        let stat = format!("/proc/{}/stat", self.0.id());
        within(Duration::from_secs(10), "the process stops", async || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        })
        .await;
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
