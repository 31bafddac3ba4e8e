//! Who does something, as a request says it.

use http_api::{Caller, NOBODY};
use sagabus::Clock;

use crate::Actor;

/// The actor of a request.
pub(super) fn actor(caller: &Caller, clock: &dyn Clock) -> Actor {
    Actor {
        user_id: caller.user_id().unwrap_or(NOBODY).to_owned(),
        cause: caller.cause(clock),
    }
}
