//! The memory of this process, as Linux counts it.

use crate::contender::Result;

/// Forgets the highest value so far. Best effort: without it the peak is that of the whole process.
pub(crate) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The resident memory now, in KiB.
pub(crate) fn now() -> Result<u64> {
    field("VmRSS:")
}

/// The highest resident memory, in KiB.
pub(crate) fn peak() -> Result<u64> {
    field("VmHWM:")
}

fn field(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("no {name} in /proc/self/status"))?.parse()?)
}
