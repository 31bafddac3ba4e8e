//! Settings of the audit service.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the audit service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The private key that signs checkpoints; beside the database where nothing is said.
    pub key_file: Option<PathBuf>,
    /// New entries after which the trail is signed.
    pub checkpoint_entries: u64,
    /// Time after which the trail is signed if it has new entries.
    pub checkpoint_interval: Duration,
    /// Whether it is recorded who looks at what.
    pub records_reads: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            key_file: None,
            checkpoint_entries: 1_000,
            checkpoint_interval: Duration::from_mins(1),
            records_reads: true,
        }
    }
}
