//! `services`: what the tests need beside Rust. What is missing is installed, where that is allowed.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_servers::{Mongo, Nats, PgBouncer, Postgres, Rabbit};

use crate::command::{self, Cause, root, target};
use crate::python::{self, PYTHON};
use crate::servers::MONGODB_URI;
use crate::steps::{Failed, Steps};

/// A program that tests start.
struct Needed {
    program: &'static str,
    /// Whether the program of that name is there.
    found: fn(&str) -> bool,
    /// Debian's packages that hold it.
    packages: &'static [&'static str],
    /// What keeps the packages from servers of their own.
    quiet: &'static [Quiet],
    /// What is set when the tests are to use another one.
    instead: &'static [&'static str],
}

/// How a package is kept from making a server and starting it with the machine.
enum Quiet {
    /// By a line in a file of its settings.
    Line { file: &'static str, line: &'static str },
    /// By a unit of systemd that is nothing.
    Unit(&'static str),
}

const NEEDED: [Needed; 7] = [
    // The learning platform's page is tried in a browser.
    Needed {
        program: "chromedriver",
        found,
        packages: &["chromium", "chromium-driver"],
        quiet: &[],
        instead: &["CHROMEDRIVER", "CHROMEDRIVER_URL"],
    },
    // Debian keeps it off the path.
    Needed {
        program: "postgres",
        found: |_| Postgres::is_installed(),
        packages: &["postgresql"],
        quiet: &[Quiet::Line {
            file: "/etc/postgresql-common/createcluster.d/no-main-cluster.conf",
            line: "create_main_cluster = false",
        }],
        instead: &["POSTGRES_URL"],
    },
    // A test goes through a pooler.
    Needed {
        program: "pgbouncer",
        found: |_| PgBouncer::is_installed(),
        packages: &["pgbouncer"],
        quiet: &[Quiet::Unit("pgbouncer.service")],
        instead: &[],
    },
    // Debian keeps it off the path of those who are not root.
    Needed {
        program: "nats-server",
        found: |_| Nats::is_installed(),
        packages: &["nats-server"],
        quiet: &[Quiet::Unit("nats-server.service")],
        instead: &["NATS_URL"],
    },
    // Debian has a script around it that is not used.
    Needed {
        program: "rabbitmq-server",
        found: |_| Rabbit::is_installed(),
        packages: &["rabbitmq-server"],
        quiet: &[
            Quiet::Unit("rabbitmq-server.service"),
            // By which nodes of Erlang find each other: ours have one of their own.
            Quiet::Unit("epmd.service"),
            Quiet::Unit("epmd.socket"),
        ],
        instead: &["AMQP_URL"],
    },
    // A library of MongoDB, which comes by another way.
    Needed {
        program: "libcurl.so.4",
        found: |library| has_mongodb() || is_library(library),
        packages: &["libcurl4"],
        quiet: &[],
        instead: &[MONGODB_URI],
    },
    // Programs in Python talk to services over a broker. Debian keeps a part of it in another package.
    Needed {
        program: "python3",
        found: |_| python::is_installed(),
        packages: &["python3-venv"],
        quiet: &[],
        instead: &[PYTHON],
    },
];

/// Where units are that an administrator has made.
const UNITS: &str = "/etc/systemd/system";

/// Looks for everything, and installs what is missing.
pub(crate) fn run(steps: &mut Steps) -> Result<(), Failed> {
    steps.step("services", || {
        let found = |needed: &Needed| (needed.found)(needed.program);
        let is_set = |name: &str| env::var_os(name).is_some();
        let missing = missing(is_set, found);
        if !missing.is_empty() {
            install(&missing)?;
        }
        if !is_set(PYTHON) {
            python::make()?;
        }
        if is_set(MONGODB_URI) || has_mongodb() {
            return Ok(());
        }
        python::unpack(&root().join("xtask/mongodb.txt"), &target().join("mongodb"))
    })
}

/// Whether there is a MongoDB to start.
fn has_mongodb() -> bool {
    Mongo::is_installed(&target())
}

/// Whether a library is where Debian and others have them.
fn is_library(name: &str) -> bool {
    let of_machines = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let folders = of_machines.map(|folder| folder.path());
    folders.chain(["/usr/lib64".into()]).any(|folder| folder.join(name).is_file())
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
    quiets(packages).try_for_each(|quiet| quiet.keep(Path::new("/")))?;
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    apt(&install.into_iter().chain(packages.iter().copied()).collect::<Vec<_>>())
}

/// What is to be done before these packages are installed.
fn quiets(packages: &[&str]) -> impl Iterator<Item = &'static Quiet> {
    let wanted =
        NEEDED.iter().filter(|needed| needed.packages.iter().any(|p| packages.contains(p)));
    wanted.flat_map(|needed| needed.quiet)
}

impl Quiet {
    /// Makes its file, if it is not there, on the machine whose files are in `root`.
    fn keep(&self, root: &Path) -> Result<(), Cause> {
        let file = root.join(self.file().strip_prefix("/").map_err(|e| e.to_string())?);
        if fs::symlink_metadata(&file).is_ok() {
            return Ok(());
        }
        println!("   writes {}", file.display());
        let write = || {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            match self {
                Self::Line { line, .. } => {
                    fs::write(&file, format!("# The tests start servers of their own.\n{line}\n"))
                }
                Self::Unit(_) => symlink("/dev/null", &file),
            }
        };
        write().map_err(|e| format!("{}: {e}", file.display()))
    }

    fn file(&self) -> PathBuf {
        match self {
            Self::Line { file, .. } => file.into(),
            Self::Unit(unit) => Path::new(UNITS).join(unit),
        }
    }

    /// The command that does it.
    fn by_hand(&self) -> String {
        let file = self.file();
        match self {
            Self::Line { line, .. } => {
                format!("    echo '{line}' | sudo install -Dm644 /dev/stdin {}\n", file.display())
            }
            Self::Unit(_) => format!("    sudo ln -sn /dev/null {}\n", file.display()),
        }
    }
}

/// What to do where this program may not.
fn by_hand(packages: &[&str]) -> Cause {
    let other = NEEDED.iter().filter(|n| n.packages.iter().any(|p| packages.contains(p)));
    let instead: Vec<&str> = other.flat_map(|needed| needed.instead).copied().collect();
    let quiet: String = quiets(packages).map(Quiet::by_hand).collect();
    format!(
        "install what the tests need:\n\n{quiet}    sudo apt-get install -y {}\n\n\
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
        let all = [
            "chromium",
            "chromium-driver",
            "postgresql",
            "pgbouncer",
            "nats-server",
            "rabbitmq-server",
            "libcurl4",
            "python3-venv",
        ];
        assert_eq!(missing(|_| false, |_| false), all);
        assert_eq!(missing(|_| false, |_| true), [""; 0]);
        assert_eq!(missing(|name| name == "CHROMEDRIVER_URL", |_| false), all[2..]);
        let others = all.into_iter().filter(|package| *package != "postgresql").collect::<Vec<_>>();
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
    fn servers_are_installed_without_one_that_starts_with_the_machine() {
        let packages = ["postgresql", "nats-server", "rabbitmq-server"];
        let told = by_hand(&packages);
        let install = format!("sudo apt-get install -y {}\n", packages.join(" "));
        let (before, _) = told.split_once(&install).unwrap();
        assert!(before.contains("echo 'create_main_cluster = false' |"), "{told}");
        let units =
            ["nats-server.service", "rabbitmq-server.service", "epmd.service", "epmd.socket"];
        for unit in units {
            let masks = format!("sudo ln -sn /dev/null /etc/systemd/system/{unit}\n");
            assert!(before.contains(&masks), "{told}");
        }

        let root = env::temp_dir().join(format!("xtask-services-{}", std::process::id()));
        for _ in 0..2 {
            quiets(&packages).for_each(|quiet| quiet.keep(&root).unwrap());
        }
        let file = root.join("etc/postgresql-common/createcluster.d/no-main-cluster.conf");
        let text = fs::read_to_string(file).unwrap();
        assert!(text.lines().any(|line| line == "create_main_cluster = false"), "{text}");
        for unit in units {
            let unit = root.join("etc/systemd/system").join(unit);
            assert_eq!(fs::read_link(unit).unwrap(), Path::new("/dev/null"));
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
