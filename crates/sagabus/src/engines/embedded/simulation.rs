//! The log under simulated faults: one seed is one history of appends, crashes, bad disks and restarts.
//!
//! For tests only; there with the feature `simulation`.

mod chance;
mod course;
mod disk;
mod model;

pub use super::planted::Bug;
pub use crate::planted::{DeliveryBug, SagaBug};
pub use chance::Chance;
pub use course::{Outcome, Violation, run};
pub use disk::{Crash, Mutation, SimDisk};
