//! What happened in histories, in sum.

/// What happened, in sum.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) trace: u64,
    pub(super) sagas: u64,
    pub(super) starts: u64,
    pub(super) kills: u64,
    pub(super) power_losses: u64,
    pub(super) failed_syncs: u64,
    pub(super) calls: u64,
    pub(super) compensations: u64,
    pub(super) stops: u64,
    pub(super) completed: u64,
    pub(super) compensated: u64,
    pub(super) cancelled: u64,
    pub(super) late_results: u64,
    pub(super) signals: u64,
    pub(super) verbs: u64,
    pub(super) cut_off: u64,
    pub(super) children: u64,
    pub(super) items: u64,
    pub(super) far: u64,
}

impl Counted {
    pub(super) fn add(&mut self, other: &Self) {
        self.trace ^= other.trace;
        self.sagas += other.sagas;
        self.starts += other.starts;
        self.kills += other.kills;
        self.power_losses += other.power_losses;
        self.failed_syncs += other.failed_syncs;
        self.calls += other.calls;
        self.compensations += other.compensations;
        self.stops += other.stops;
        self.completed += other.completed;
        self.compensated += other.compensated;
        self.cancelled += other.cancelled;
        self.late_results += other.late_results;
        self.signals += other.signals;
        self.verbs += other.verbs;
        self.cut_off += other.cut_off;
        self.children += other.children;
        self.items += other.items;
        self.far += other.far;
    }
}
