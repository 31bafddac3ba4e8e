//! What every engine must do, as tests that any engine runs.
//!
//! [`transport_conformance!`](crate::transport_conformance) makes a test of each rule in [`rules`]; the engine under test
//! comes as a [`Cluster`]. [`history`] makes a random course of work and checks what must hold after any. A rule is
//! named by what one gets and carries the id of the case that it shows; [`all`] lists them, for reports.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a rule is a test: one that does not hold panics"
)]

mod bench;
pub mod cases;
pub mod embedded;
pub mod history;
mod list;
pub mod report;
pub mod rules;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::error::Result;
use crate::transport::{Member, SubscriptionSpec, Transport};

/// An engine under test: a store, the processes that use it, and the time that passes for them.
#[async_trait]
pub trait Cluster: fmt::Debug + Send + Sync {
    /// A process's connection to the store, which is opened where it is not open. What was stored before is there.
    async fn transport(&self) -> Arc<dyn Transport>;

    /// The clock of store and processes.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Sets the wall clock forward, or back where `is_back`. Time that has passed does not change by it.
    fn jump(&self, by: Duration, is_back: bool);

    /// The span that rules count delays in: short where time is real, and much longer than one call of the engine.
    fn unit(&self) -> Duration;

    /// How late what is due may come, on a machine that has other work too.
    fn lateness(&self) -> Duration;

    /// From the next time that the store is opened on, it remembers so many of the latest events, and each for so long
    /// (1 s or more), so that a repeat is known. Unless this is called it remembers all events of a rule.
    fn remember(&self, events: usize, time: Duration);

    /// From the next time that the store is opened on, it drops as soon as it can what nobody needs and what it need not
    /// remember. Says whether it does; a store that drops nothing need not.
    fn keep_little(&self) -> bool {
        false
    }

    /// Whether the store finds room for more than it has at hand, such as a file on a disk.
    fn set_room(&self, has_room: bool);

    /// Store and processes end without a word, as by `kill -9`; nothing that was acknowledged is lost by it.
    async fn crash(&self);

    /// Store and processes end in good order; the next connection opens the store again. Fine after a bus was shut down.
    async fn restart(&self);

    /// A member in a process that can be killed.
    ///
    /// # Errors
    /// As [`Transport::join`].
    async fn join(&self, spec: SubscriptionSpec) -> Result<Arc<dyn Member>> {
        self.transport().await.join(spec).await
    }

    /// The member's process ends without a word: the member neither settles nor leaves.
    fn kill(&self, member: Arc<dyn Member>);
}

/// How much a case is asked of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An engine without it is none.
    Must,
    /// An engine without it says so.
    Should,
    /// It depends on what the engine offers.
    Cap,
}

impl Level {
    /// In capitals, as specifications have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Cap => "CAP",
        }
    }
}

/// A rule on its way.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The file that it stands in.
    pub group: &'static str,
    /// Id of the case that it shows.
    pub id: &'static str,
    /// How much it is asked for.
    pub level: Level,
    /// What one gets.
    pub name: &'static str,
    /// Shows it, or panics.
    pub run: for<'a> fn(&'a dyn Cluster) -> Running<'a>,
}

/// All rules, by group and id.
#[must_use]
pub fn all() -> Vec<Rule> {
    crate::conformance_rules!(conformance_list;)
}
