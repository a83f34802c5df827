//! `services`: what the tests need beside Rust. What is missing is installed, where that is allowed.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use test_servers::{PgBouncer, Postgres};

use crate::command::{self, Cause};
use crate::steps::{Failed, Steps};

/// A program that tests start.
struct Needed {
    program: &'static str,
    /// Whether the program of that name is there.
    found: fn(&str) -> bool,
    /// Debian's packages that hold it.
    packages: &'static [&'static str],
    /// What is set when the tests are to use another one.
    instead: &'static [&'static str],
}

const NEEDED: [Needed; 3] = [
    // The learning platform's page is tried in a browser.
    Needed {
        program: "chromedriver",
        found,
        packages: &["chromium", "chromium-driver"],
        instead: &["CHROMEDRIVER", "CHROMEDRIVER_URL"],
    },
    // Debian keeps it off the path.
    Needed {
        program: "postgres",
        found: |_| Postgres::is_installed(),
        packages: &[POSTGRESQL],
        instead: &["POSTGRES_URL"],
    },
    // A test goes through a pooler.
    Needed {
        program: "pgbouncer",
        found: |_| PgBouncer::is_installed(),
        packages: &["pgbouncer"],
        instead: &[],
    },
];

const POSTGRESQL: &str = "postgresql";

/// Debian's package makes a server and starts it with the machine, unless a file says no.
const NO_SERVER: [&str; 2] =
    ["/etc/postgresql-common/createcluster.d/no-main-cluster.conf", "create_main_cluster = false"];

/// Looks for everything, and installs what is missing.
pub(crate) fn run(steps: &mut Steps) -> Result<(), Failed> {
    steps.step("services", || {
        let found = |needed: &Needed| (needed.found)(needed.program);
        let missing = missing(|name| env::var_os(name).is_some(), found);
        if missing.is_empty() { Ok(()) } else { install(&missing) }
    })
}

/// The packages of what is neither there nor replaced.
fn missing(is_set: impl Fn(&str) -> bool, found: impl Fn(&Needed) -> bool) -> Vec<&'static str> {
    let replaced = |needed: &Needed| needed.instead.iter().any(|name| is_set(name));
    let missing = NEEDED.iter().filter(|needed| !replaced(needed) && !found(needed));
    missing.flat_map(|needed| needed.packages).copied().collect()
}

fn found(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
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
    if packages.contains(&POSTGRESQL) {
        start_no_server(Path::new(NO_SERVER[0]))?;
    }
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    apt(&install.into_iter().chain(packages.iter().copied()).collect::<Vec<_>>())
}

/// Keeps the package from a server of its own. To be called before it is installed.
fn start_no_server(file: &Path) -> Result<(), Cause> {
    println!("   writes {}", file.display());
    let text = format!("# The tests start servers of their own.\n{}\n", NO_SERVER[1]);
    let write = || {
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(file, text)
    };
    write().map_err(|e| format!("{}: {e}", file.display()))
}

/// What to do where this program may not.
fn by_hand(packages: &[&str]) -> Cause {
    let other = NEEDED.iter().filter(|n| n.packages.iter().any(|p| packages.contains(p)));
    let instead: Vec<&str> = other.flat_map(|needed| needed.instead).copied().collect();
    let [file, line] = NO_SERVER;
    let no_server = if packages.contains(&POSTGRESQL) {
        format!("    echo '{line}' | sudo install -Dm644 /dev/stdin {file}\n")
    } else {
        String::new()
    };
    format!(
        "install what the tests need:\n\n{no_server}    sudo apt-get install -y {}\n\n\
         or set {} to what you have",
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
        let all = ["chromium", "chromium-driver", "postgresql", "pgbouncer"];
        assert_eq!(missing(|_| false, |_| false), all);
        assert_eq!(missing(|_| false, |_| true), [""; 0]);
        assert_eq!(missing(|name| name == "CHROMEDRIVER_URL", |_| false), all[2..]);
        let others = ["chromium", "chromium-driver", "pgbouncer"];
        assert_eq!(missing(|name| name == "POSTGRES_URL", |_| false), others);
        assert_eq!(missing(|_| false, |needed| needed.program == "postgres"), others);
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

    #[test]
    fn postgresql_is_installed_without_a_server_that_starts_with_the_machine() {
        let told = by_hand(&["postgresql"]);
        let (before, _) = told.split_once("sudo apt-get install -y postgresql\n").unwrap();
        assert!(before.contains("echo 'create_main_cluster = false' |"), "{told}");

        let folder = env::temp_dir().join(format!("xtask-services-{}", std::process::id()));
        let file = folder.join("createcluster.d").join("no-main-cluster.conf");
        start_no_server(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.lines().any(|line| line == "create_main_cluster = false"), "{text}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
