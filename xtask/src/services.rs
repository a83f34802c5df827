//! `services`: what the tests need beside Rust. What is missing is installed, where that is allowed.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use crate::command::{self, Cause};
use crate::steps::{Failed, Steps};

/// A program that tests start.
struct Needed {
    program: &'static str,
    /// Debian's packages that hold it.
    packages: &'static [&'static str],
    /// What is set when the tests are to use another one.
    instead: &'static [&'static str],
}

const NEEDED: [Needed; 1] = [
    // The learning platform's page is tried in a browser.
    Needed {
        program: "chromedriver",
        packages: &["chromium", "chromium-driver"],
        instead: &["CHROMEDRIVER", "CHROMEDRIVER_URL"],
    },
];

/// Looks for everything, and installs what is missing.
pub(crate) fn run(steps: &mut Steps) -> Result<(), Failed> {
    steps.step("services", || {
        let missing = missing(|name| env::var_os(name).is_some(), |program| found(program));
        if missing.is_empty() { Ok(()) } else { install(&missing) }
    })
}

/// The packages of what is neither there nor replaced.
fn missing(is_set: impl Fn(&str) -> bool, found: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let replaced = |needed: &Needed| needed.instead.iter().any(|name| is_set(name));
    let missing = NEEDED.iter().filter(|needed| !replaced(needed) && !found(needed.program));
    missing.flat_map(|needed| needed.packages).copied().collect()
}

fn found(program: impl AsRef<OsStr>) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(PathBuf::from(program.as_ref())).is_file())
}

fn install(packages: &[&str]) -> Result<(), Cause> {
    if !found("apt-get") || !is_root() {
        return Err(by_hand(packages));
    }
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(args);
        command::run(apt)
    };
    apt(&["update", "-q"])?;
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    apt(&install.into_iter().chain(packages.iter().copied()).collect::<Vec<_>>())
}

/// What to do where this program may not.
fn by_hand(packages: &[&str]) -> Cause {
    let other = NEEDED.iter().filter(|n| n.packages.iter().any(|p| packages.contains(p)));
    let instead: Vec<&str> = other.flat_map(|needed| needed.instead).copied().collect();
    format!(
        "install what the tests need:\n\n    sudo apt-get install -y {}\n\nor set {} to what you have",
        packages.join(" "),
        instead.join(" or ")
    )
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_neither_there_nor_replaced_is_missing() {
        let browser = ["chromium", "chromium-driver"];
        assert_eq!(missing(|_| false, |_| false), browser);
        assert_eq!(missing(|_| false, |_| true), [""; 0]);
        assert_eq!(missing(|name| name == "CHROMEDRIVER_URL", |_| false), [""; 0]);
    }

    #[test]
    fn a_program_is_found_on_the_path() {
        assert!(found("sh"));
        assert!(!found("no-such-program"));
    }

    #[test]
    fn somebody_who_may_not_install_is_told_the_one_command() {
        let told = by_hand(&["chromium", "chromium-driver"]);
        assert!(told.contains("sudo apt-get install -y chromium chromium-driver\n"), "{told}");
        assert!(told.contains("CHROMEDRIVER or CHROMEDRIVER_URL"), "{told}");
    }
}
