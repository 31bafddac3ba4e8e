//! Faults that can be planted into the rules of delivery and of sagas, to see that random histories find them.
//!
//! Without the feature `simulation` none can be planted, and the compiler leaves nothing of them in the program.

/// A fault in ledger, bus or inbox that a test must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, reason = "public with the feature")
)]
pub enum DeliveryBug {
    /// An attempt counts when it has an outcome, and not when it begins.
    AttemptCountedAtItsEnd,
    /// A settling counts whoever had the lease.
    FencedSettleCounts,
    /// What waits behind a dead letter of its key is handed out.
    FollowersGo,
    /// A retry is handed out before its time.
    RetryTooEarly,
    /// What is handled takes what came before it along.
    AckTakesEarlier,
    /// A redrive reaches deliveries that were never given up.
    RedriveReachesAny,
    /// A dead letter keeps its last fault only.
    FaultsCut,
    /// What a silent member had is not handed out again.
    SilentMemberKeeps,
    /// Less urgent events are passed over without end.
    PassedWithoutEnd,
    /// A pause ends with the process.
    PauseForgotten,
    /// The filter is asked again before each retry.
    FilterAskedAgain,
    /// What is suspected to end the process is handed out beside others.
    SuspectInCompany,
    /// What is handed back costs its attempt.
    ReleaseCosts,
    /// What is handled is not counted.
    AckNotCounted,
    /// A transient error is tried again without end.
    AttemptsWithoutEnd,
    /// What is given up leaves no dead letter.
    DeadLetterDropped,
    /// The events that a handler answers with are not published.
    EmittedLost,
    /// An event is marked as taken, and its effect is another transaction.
    #[cfg(feature = "sqlite")]
    MarkBeforeEffect,
    /// An event is not marked as taken.
    #[cfg(feature = "sqlite")]
    MarkForgotten,
}

#[cfg(feature = "simulation")]
impl DeliveryBug {
    /// Plants the fault into everything of this thread, or takes it out again.
    pub fn plant(bug: Option<Self>) {
        PLANTED.set(bug);
    }
}

#[cfg(feature = "simulation")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<DeliveryBug>> = const { std::cell::Cell::new(None) };
}

/// Whether this fault is planted on this thread.
#[cfg(feature = "simulation")]
pub(crate) fn has(bug: DeliveryBug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this fault is planted: never.
#[cfg(not(feature = "simulation"))]
pub(crate) const fn has(_: DeliveryBug) -> bool {
    false
}

/// A fault in the rules of sagas, or in their shell, that a test must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, reason = "public with the feature")
)]
pub enum SagaBug {
    /// A saga that has turned back starts what it had not.
    StartsAfterTurningBack,
    /// After a crash, a saga that has turned back runs forward again what was cut off.
    ForwardAfterCrash,
    /// A step does not wait for those it depends on.
    DependencyNotAwaited,
    /// What certainly had no effect is taken back.
    EffectlessTakenBack,
    /// An attempt in doubt passes for one without an effect.
    DoubtForgotten,
    /// The step that started first is taken back first.
    OldestFirst,
    /// The first step is never taken back.
    FirstStepKept,
    /// Each attempt has a key of its own.
    KeyChanges,
    /// No retry is ever due.
    TimerLost,
    /// A second signal of one name is taken too.
    SignalTakenTwice,
    /// A saga that is over keeps its slot.
    SlotLeaked,
    /// Handlers are called before the record that says so is stored.
    ObeyedBeforeStored,
    /// What is asked of a saga is answered before it is stored.
    AnsweredBeforeStored,
    /// A success that comes late is dropped.
    LateEffectDropped,
    /// A paused saga goes on.
    PauseForgotten,
    /// The last item of a list is left out.
    ItemForgotten,
    /// All items of a list have one key.
    ItemKeysShared,
    /// A list is done when one of its items is.
    ListDoneTooEarly,
    /// A saga that turns back does not wait for its children.
    ChildNotAwaited,
    /// After a restart another child is started.
    ChildStartedAgain,
    /// A child that is taken back passes for one that completed.
    ChildFailurePasses,
    /// What a service elsewhere is to do is recorded, and it is not asked.
    RequestForgotten,
    /// What a service elsewhere is to do is recorded, and it is asked with another append.
    RequestApart,
    /// A start is acknowledged, and not stored.
    StartForgotten,
    /// Each process has a lower epoch than the one before it.
    EpochFalls,
    /// What the first step returned is seen by none.
    OutputForgotten,
    /// A step that fails is tried again without end.
    FailuresNotCounted,
    /// After a restart a step that has succeeded passes for one that runs.
    SuccessNotReplayed,
    /// The end of a saga is recorded twice.
    EndsTwice,
    /// What a crash cuts off is run again however often that was so before.
    CutsNotCounted,
}

#[cfg(feature = "simulation")]
impl SagaBug {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::StartsAfterTurningBack,
        Self::ForwardAfterCrash,
        Self::DependencyNotAwaited,
        Self::EffectlessTakenBack,
        Self::DoubtForgotten,
        Self::OldestFirst,
        Self::FirstStepKept,
        Self::KeyChanges,
        Self::TimerLost,
        Self::SignalTakenTwice,
        Self::SlotLeaked,
        Self::ObeyedBeforeStored,
        Self::AnsweredBeforeStored,
        Self::LateEffectDropped,
        Self::PauseForgotten,
        Self::ItemForgotten,
        Self::ItemKeysShared,
        Self::ListDoneTooEarly,
        Self::ChildNotAwaited,
        Self::ChildStartedAgain,
        Self::ChildFailurePasses,
        Self::RequestForgotten,
        Self::RequestApart,
        Self::StartForgotten,
        Self::EpochFalls,
        Self::OutputForgotten,
        Self::FailuresNotCounted,
        Self::SuccessNotReplayed,
        Self::EndsTwice,
        Self::CutsNotCounted,
    ];

    /// Plants the fault into all sagas of this thread, or takes it out again.
    pub fn plant(bug: Option<Self>) {
        PLANTED_IN_SAGAS.set(bug);
    }
}

#[cfg(feature = "simulation")]
thread_local! {
    static PLANTED_IN_SAGAS: std::cell::Cell<Option<SagaBug>> = const { std::cell::Cell::new(None) };
}

/// Whether this fault is planted into the sagas of this thread.
#[cfg(feature = "simulation")]
pub(crate) fn in_sagas(bug: SagaBug) -> bool {
    PLANTED_IN_SAGAS.get() == Some(bug)
}

/// Whether this fault is planted: never.
#[cfg(not(feature = "simulation"))]
pub(crate) const fn in_sagas(_: SagaBug) -> bool {
    false
}
