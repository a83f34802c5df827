//! What ends a server when the process that started it dies.
//!
//! The standard library has no safe way to say that a child dies with its parent. But the pipe to a
//! child is closed by the system, however its writer died; a shell that reads from it finds out.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell that outlives this process for as long as it takes to clean up.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
}

impl Guard {
    /// Watches over the folder and, once it is named, over a process that ends with `signal`.
    pub(crate) fn start(folder: &Path, signal: &str) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("guard.sh"), "sh"]).arg(folder).arg(signal);
        // In a group of its own it does not hear the Ctrl-C that ends this process.
        command.process_group(0).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { shell: command.spawn()? })
    }

    /// The process to end from now on.
    pub(crate) fn watch(&self, pid: u32) -> io::Result<()> {
        self.tell(pid)
    }

    /// No process to end from now on. To be called before a process is waited for: its id may then
    /// be another one's.
    pub(crate) fn look_away(&self) -> io::Result<()> {
        self.tell("")
    }

    fn tell(&self, line: impl fmt::Display) -> io::Result<()> {
        let Some(mut input) = self.shell.stdin.as_ref() else { return Ok(()) };
        // One write: a half of a line must not be what is left behind.
        input.write_all(format!("{line}\n").as_bytes())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.tell("over");
        let _ = self.shell.wait();
    }
}
