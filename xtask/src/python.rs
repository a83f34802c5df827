//! The Python of the tests: an environment of its own in the folder for what is built, with the packages of the
//! programs in Python.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{self, Cause, root, target};

/// Names a Python that has the packages of the programs.
pub(crate) const PYTHON: &str = "PYTHON";

/// Whether there is a Python that can make environments.
pub(crate) fn is_installed() -> bool {
    let asked = ["-c", "import venv, ensurepip"];
    let asked =
        Command::new("python3").args(asked).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Makes the environment, unless it is there with the same packages.
pub(crate) fn make() -> Result<(), Cause> {
    let wanted = root().join("examples/box-office/python/requirements.txt");
    let folder = target().join("python");
    unless_made(&wanted, &folder, || {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&folder);
        command::run(venv)?;
        command::run(install(&python(), &wanted))
    })
}

/// Unpacks packages that no program imports into a folder, unless they are there. The environment is.
pub(crate) fn unpack(wanted: &Path, folder: &Path) -> Result<(), Cause> {
    unless_made(wanted, folder, || {
        let mut pip = install(&python(), wanted);
        pip.arg("--target").arg(folder);
        command::run(pip)
    })
}

/// The Python that has the packages of the programs.
fn python() -> PathBuf {
    let made = || target().join("python").join("bin").join("python").into_os_string();
    env::var_os(PYTHON).unwrap_or_else(made).into()
}

/// Makes a folder of packages, unless it has been made of the same list.
fn unless_made(
    wanted: &Path,
    folder: &Path,
    make: impl FnOnce() -> Result<(), Cause>,
) -> Result<(), Cause> {
    // Copied last: what stopped half-way is made anew.
    let made = folder.join("requirements.txt");
    if is_same(wanted, &made) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    make()?;
    fs::copy(wanted, &made).map_err(|e| format!("{}: {e}", made.display()))?;
    Ok(())
}

fn is_same(wanted: &Path, made: &Path) -> bool {
    let [wanted, made] = [wanted, made].map(fs::read);
    matches!((wanted, made), (Ok(wanted), Ok(made)) if wanted == made)
}

/// Packages that are what they were when the list was made, and nothing that runs at the installation.
fn install(python: &Path, requirements: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement"]);
    pip.arg(requirements);
    pip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_made_anew_when_the_list_of_packages_has_changed() {
        let folder = env::temp_dir().join(format!("xtask-python-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [wanted, made] = ["wanted", "made"].map(|name| folder.join(name));
        fs::write(&wanted, "pika==1").unwrap();
        assert!(!is_same(&wanted, &made));
        fs::write(&made, "pika==1").unwrap();
        assert!(is_same(&wanted, &made));
        fs::write(&wanted, "pika==2").unwrap();
        assert!(!is_same(&wanted, &made));
        fs::remove_dir_all(&folder).unwrap();
    }
}
