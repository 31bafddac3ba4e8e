//! What the trail holds: entries, how an event is judged, which entries a list has, and the result of a check.

mod act;
mod alert;
mod cron;
mod declared;
mod entry;
mod filter;
mod judge;
mod made;
mod proof;
mod report;
mod wanted;

pub(crate) use act::REPEATED;
pub use act::{Act, More};
pub use alert::{Alert, Condition, Operator, Told};
pub use cron::Cron;
pub use declared::{Declared, Hold, Order, Policy, read};
pub use entry::Entry;
pub use filter::{Filter, Page};
pub use judge::{Judgement, judge};
pub use made::Made;
pub use proof::{ConsistencyProof, Hex, InclusionProof, Tree};
pub use report::{Statistics, Top, Verification};
pub(crate) use wanted::filter as filter_of;
pub use wanted::{Export, Schedule, Wanted};
