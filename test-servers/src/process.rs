//! A server's processes: started, signalled, waited for.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::mem;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::guard::Guard;
use crate::home::Home;

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(5);
/// How long a killed process may take to be gone. A child of it may have something in hand.
pub(crate) const KILLED: Duration = Duration::from_secs(30);

/// A program with its children. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Reads what the program writes, which ends when the last of its processes does: all of them
    /// have that pipe.
    last: JoinHandle<()>,
    guard: Arc<Guard>,
    /// What was paused, the program itself last: as long as it is, nobody waits for its children,
    /// and their ids stay theirs.
    paused: Vec<u32>,
}

/// What is started.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) file: &'a Path,
    pub(crate) args: &'a [String],
    /// The folder it starts in.
    pub(crate) folder: &'a Path,
    /// The file that its messages are added to. What it writes otherwise goes nowhere.
    pub(crate) log: &'a Path,
}

impl Process {
    /// Starts the program as the user of that home. If this process dies, the guard ends it.
    pub(crate) fn start(
        program: &Program<'_>,
        home: &Home,
        guard: &Arc<Guard>,
    ) -> io::Result<Self> {
        let log = OpenOptions::new().append(true).create(true).open(program.log)?;
        // It waits for a word before it becomes the program: the guard knows of it by then.
        let mut command = home.command("sh");
        command.args(["-c", "read -r go && exec \"$@\" </dev/null", "sh"]);
        command.arg(program.file).args(program.args).current_dir(program.folder);
        // Its messages are searched for words. In a group of its own it does not hear Ctrl-C.
        command.env("LC_ALL", "C").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let last = thread::spawn(move || output.into_iter().for_each(read_to_the_end));
        let process = Self { child, last, guard: Arc::clone(guard), paused: Vec::new() };
        guard.watch(process.pid())?;
        input.map_or(Ok(()), |mut input| input.write_all(b"go\n"))?;
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is gone, with all its children. None: the bound came first.
    pub(crate) fn ended(&mut self, bound: Duration) -> io::Result<Option<ExitStatus>> {
        if !until(bound, || self.last.is_finished()) {
            return Ok(None);
        }
        // Once it is waited for, its id may be another one's.
        self.guard.look_away()?;
        self.child.wait().map(Some)
    }

    /// Sends it a signal, and not its children. Not after it has `ended`.
    pub(crate) fn signal(&self, name: &str) -> io::Result<()> {
        signal(name, &[self.pid()])
    }

    /// Kills it and waits until it is gone, with all its children. None: they take too long.
    ///
    /// The children see that it is gone, end what they have in hand, and go. Those of a paused
    /// program are killed with it.
    pub(crate) fn kill(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.paused.is_empty() {
            self.child.kill()?;
        } else {
            signal("KILL", &mem::take(&mut self.paused))?;
        }
        self.ended(KILLED)
    }

    /// Stops it and its children until `go_on`.
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        self.signal("STOP")?;
        self.paused = vec![self.pid()];
        let stopped = || state(self.pid()).is_some_and(|(state, _)| state == "T");
        if !until(KILLED, stopped) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not stop"));
        }
        // It makes no more of them.
        let children = children(self.pid())?;
        if !children.is_empty() {
            signal("STOP", &children)?;
        }
        self.paused.splice(0..0, children);
        Ok(())
    }

    /// Lets go on what was paused.
    pub(crate) fn go_on(&mut self) -> io::Result<()> {
        let paused = mem::take(&mut self.paused);
        if paused.is_empty() { Ok(()) } else { signal("CONT", &paused) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.ended(Duration::ZERO), Ok(Some(_))) {
            let _ = self.kill();
        }
    }
}

/// Looks at the condition until it holds or the time is over. Whether it holds.
pub(crate) fn until(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if started.elapsed() >= bound {
            return false;
        }
        thread::sleep(GLANCE);
    }
}

fn read_to_the_end(mut output: impl Read) {
    let mut buffer = [0; 4096];
    while output.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
}

/// The shell has `kill` built in; the standard library has no signal but one.
fn signal(name: &str, pids: &[u32]) -> io::Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$@\"", "sh", name]).args(pids.iter().map(u32::to_string));
    let output = command.output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

fn children(parent: u32) -> io::Result<Vec<u32>> {
    let processes = fs::read_dir("/proc")?.flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|pid| state(*pid).is_some_and(|(_, of)| of == parent)).collect())
}

/// The state of a process, and its parent.
fn state(pid: u32) -> Option<(String, u32)> {
    // `pid (name) state parent …`, where the name may be anything.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
