//! What this machine does by itself: how long a sync of its disk takes, and how much of the processor this process has had.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use sagabus::{Clock, SystemClock};

use crate::cli::Failure;
use crate::cli::bench::failed;

/// Syncs that are timed.
const SYNCS: usize = 1_000;
/// Bytes written before each: about what one transition of a saga stores.
const WRITE_BYTES: usize = 600;
/// Linux shows the time of processes in parts of a second, of which there are so many, whatever the machine.
const TICKS_PER_SECOND: u64 = 100;

/// Median time of a sync of a file that has its length already, each after a small write.
pub(super) fn sync_p50(dir: &Path) -> Result<Duration, Failure> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(dir.join("sync"))
        .map_err(failed)?;
    let zeros = vec![0; SYNCS * WRITE_BYTES];
    file.write_all_at(&zeros, 0).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let mut times = Vec::with_capacity(SYNCS);
    let (bytes, mut at) = ([7; WRITE_BYTES], 0);
    for _ in 0..SYNCS {
        file.write_all_at(&bytes, at).map_err(failed)?;
        at += WRITE_BYTES as u64;
        let began = SystemClock.elapsed();
        file.sync_data().map_err(failed)?;
        times.push(SystemClock.elapsed().saturating_sub(began));
    }
    Ok(p50(&mut times))
}

/// The middle one of some times.
pub(super) fn p50(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// How much of the processor this process has had, its own work and the system's for it.
pub(super) fn processor() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(failed)?;
    // The name of the program, in brackets, may hold spaces.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest);
    let fields = fields.map(|rest| rest.split_whitespace().skip(11).take(2));
    let ticks: Option<u64> =
        fields.and_then(|fields| fields.map(|it| it.parse::<u64>().ok()).sum());
    let ticks =
        ticks.ok_or_else(|| failed("this system does not say how much a process worked"))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}
