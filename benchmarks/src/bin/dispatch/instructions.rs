//! Instructions of a call, counted by valgrind's callgrind.

use std::process::Command;

use crate::cases::Case;

/// The difference between 2N and N calls, divided by N: what happens once is not in it.
///
/// Err: valgrind is missing, or its output is not understood.
pub(crate) fn per_call(case: Case) -> Result<f64, String> {
    const CALLS: u64 = 5_000;
    let (few, many) = (collected(case, CALLS)?, collected(case, 2 * CALLS)?);
    Ok((many - few) as f64 / CALLS as f64)
}

fn collected(case: Case, calls: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([case.name(), &calls.to_string()])
        .output()
        .map_err(|e| {
            format!("valgrind cannot be started ({e}): install it to count instructions")
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    // ==123== Collected : 456
    let collected = text.lines().find_map(|line| line.split("Collected : ").nth(1));
    let count = collected.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| format!("valgrind ended with {}: {text}", output.status))
}
