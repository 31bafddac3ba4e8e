//! How much memory this process takes, as Linux counts it.

use super::failed;
use crate::cli::Failure;

/// The most memory that this process has had, in bytes, or has had since [`forget_peak`].
pub(super) fn peak_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(failed)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line
        .and_then(|it| it.trim().strip_suffix(" kB"))
        .and_then(|it| it.parse::<u64>().ok());
    kibibytes
        .map(|it| it * 1024)
        .ok_or_else(|| failed("this system does not say how much memory a process has had"))
}

/// Lets the most be what it is now; see `clear_refs` in proc(5).
pub(super) fn forget_peak() -> Result<(), Failure> {
    std::fs::write("/proc/self/clear_refs", "5").map_err(failed)
}
