//! `sagabus schema asyncapi`: all event types as an AsyncAPI 3.0 document.

use clap::Args;

use super::Failure;
use crate::wire;

/// Print all event types as an AsyncAPI 3.0 document.
#[derive(Debug, Args)]
pub(crate) struct Asyncapi {}

impl Asyncapi {
    pub(super) fn run(self) -> Result<(), Failure> {
        super::print_json(&wire::asyncapi(&super::registry()?))
    }
}
