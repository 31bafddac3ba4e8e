//! Faults that can be planted into the log, to see that its tests find them.
//!
//! Without the feature `simulation` none can be planted, and the compiler leaves nothing of them in the program.

/// A fault in the log that a test must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, reason = "public with the feature")
)]
pub enum Bug {
    /// Appends are acknowledged when they are written, before they are synced.
    AckBeforeSync,
    /// Appends that ask only to be written are acknowledged, and written with the next that asks to be synced.
    AckBeforeWrite,
    /// An event that was stored before is acknowledged at once, although the first one may not be durable yet.
    AckDuplicateAtOnce,
    /// Nothing is ever synced.
    NoSync,
    /// A failed sync counts as a good one.
    AckAfterFailedSync,
    /// After a failed sync the next one is trusted.
    SyncTriedAgain,
    /// A new segment is begun before the one before it is durable.
    SwitchBeforeSync,
    /// A new segment gets its name before its header is durable.
    NameBeforeHeader,
    /// The records of an append can be stored without the others.
    HalfBatch,
    /// Checksums are not compared.
    ChecksumIgnored,
    /// Checksums are the same in every file.
    SaltIgnored,
    /// A torn tail stays where it is.
    TornTailKept,
    /// Damage to acknowledged records passes for a torn tail.
    DamageCut,
    /// What the operating system shows at the start passes for what is on the disk.
    CacheTrusted,
    /// A file that lost its end is read as far as it goes.
    LengthIgnored,
    /// No mark tells that the last records before a stop in good order are durable.
    NoMark,
    /// Only one mark does, in the same sector as the records.
    OneMark,
    /// Ids of events are forgotten at a restart.
    IdsForgotten,
    /// Ids of events that were refused are remembered as if those had been stored.
    RefusedRemembered,
    /// What stands for the log's beginning gets its name before it is durable.
    CompactedUnsynced,
    /// Segments are dropped before what stands for them has its name.
    DroppedEarly,
    /// What is still needed of dropped segments is not carried forward.
    NeededDropped,
}

#[cfg(feature = "simulation")]
impl Bug {
    /// Faults that histories of a log alone must show.
    pub const ALL: [Self; 21] = [
        Self::AckBeforeSync,
        Self::AckBeforeWrite,
        Self::AckDuplicateAtOnce,
        Self::NoSync,
        Self::AckAfterFailedSync,
        Self::SyncTriedAgain,
        Self::SwitchBeforeSync,
        Self::NameBeforeHeader,
        Self::HalfBatch,
        Self::ChecksumIgnored,
        Self::SaltIgnored,
        Self::TornTailKept,
        Self::DamageCut,
        Self::CacheTrusted,
        Self::LengthIgnored,
        Self::NoMark,
        Self::OneMark,
        Self::IdsForgotten,
        Self::RefusedRemembered,
        Self::CompactedUnsynced,
        Self::DroppedEarly,
    ];

    /// Plants the fault into all logs of this thread, or takes it out again.
    pub fn plant(bug: Option<Self>) {
        PLANTED.set(bug);
    }
}

#[cfg(feature = "simulation")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether this fault is planted on this thread.
#[cfg(feature = "simulation")]
pub(crate) fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this fault is planted: never.
#[cfg(not(feature = "simulation"))]
pub(crate) const fn has(_: Bug) -> bool {
    false
}
