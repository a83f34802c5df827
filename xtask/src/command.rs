//! Running programs: cargo at the root of the workspace.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a step failed, for people.
pub(crate) type Cause = String;

/// The folder of the workspace.
///
/// Taken from the run, not from the build: a checkout can move while its binaries stay.
pub(crate) fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// The folder for what is built, which is also the place for temporary files.
pub(crate) fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(target)
}

/// The cargo that runs this program, at the root of the workspace.
pub(crate) fn cargo<I>(args: I) -> Command
where
    I: IntoIterator<Item: AsRef<OsStr>>,
{
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// Cargo in the workspace of the comparisons with other libraries. What it builds stays in the
/// folder for what is built.
pub(crate) fn benchmarks<const N: usize>(args: [&str; N]) -> Command {
    let [name, rest @ ..] = &args[..] else { return cargo([""; 0]) };
    let mut command = cargo([name]);
    command.args(["--manifest-path", "benchmarks/Cargo.toml"]).args(rest);
    command.env("CARGO_TARGET_DIR", target().join("benchmarks"));
    command
}

/// Prints the command, runs it and waits. What it prints is seen as it comes.
///
/// Err: it could not be started, or ended with another code than 0.
pub(crate) fn run(mut command: Command) -> Result<(), Cause> {
    let shown = shown(&command);
    println!("   $ {shown}");
    let status = command.status().map_err(|e| format!("`{shown}` could not be started: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// The command as one would type it: its settings, the program's name, its arguments.
fn shown(command: &Command) -> String {
    let settings = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_string_lossy(), without_password(value?))))
        .map(|(name, value)| format!("{name}={}", quoted(value.as_ref())));
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let words = [program].into_iter().chain(command.get_args()).map(quoted);
    settings.chain(words).collect::<Vec<_>>().join(" ")
}

/// An address without the password in it; anything else as it is.
fn without_password(value: &OsStr) -> String {
    let value = value.to_string_lossy();
    let shown = value.split_once("://").and_then(|(protocol, rest)| {
        let (who, place) = rest.rsplit_once('@')?;
        let (user, _) = who.split_once(':')?;
        Some(format!("{protocol}://{user}:…@{place}"))
    });
    shown.unwrap_or_else(|| value.into_owned())
}

/// A word in quotes where a shell needs them.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_=./:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/cargo");
        command.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps", "it's"]);
        assert_eq!(shown(&command), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }

    #[test]
    fn a_command_is_shown_without_the_passwords_of_servers() {
        let mut command = Command::new("cargo");
        command.env("POSTGRES_URL", "postgres://me:s3cret@127.0.0.1:7/db").arg("test");
        assert_eq!(shown(&command), "POSTGRES_URL='postgres://me:…@127.0.0.1:7/db' cargo test");
        assert_eq!(without_password("sqlite://a:b".as_ref()), "sqlite://a:b");
    }

    #[test]
    fn the_root_is_the_folder_of_the_workspace() {
        assert!(root().join("xtask").join("Cargo.toml").is_file());
    }

    #[test]
    fn a_command_that_fails_is_named() {
        let mut command = cargo(["no-such-command"]);
        command.stderr(Stdio::null());
        let cause = run(command).unwrap_err();
        assert!(cause.starts_with("`cargo no-such-command` ended with "), "{cause}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let cause = run(Command::new("no-such-program")).unwrap_err();
        assert!(cause.starts_with("`no-such-program` could not be started: "), "{cause}");
    }
}
