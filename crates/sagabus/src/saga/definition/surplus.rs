//! Which field of a step is too much beside what the step waits for. Pure.

use super::{Compensate, OnInDoubt, Step};

/// Fields of a step that goes with a child: what takes it back, what it is given, and where it may run.
const OF_CHILD: [&str; 8] = [
    "service",
    "compensationAction",
    "compensate",
    "compensationTimeout",
    "compensationRetryAttempts",
    "data",
    "lateBinding",
    "forEach",
];

impl Step {
    /// The first field that does not go with a step that waits for a signal, a person or the time.
    pub(super) fn surplus(&self) -> Option<&'static str> {
        self.of_handler().next()
    }

    /// The first field that does not go with a step that is a saga of its own.
    pub(super) fn surplus_of_child(&self) -> Option<&'static str> {
        self.of_handler().find(|field| match *field {
            // It is that of what takes it back.
            "version" => self.compensation_action.is_none(),
            field => !OF_CHILD.contains(&field),
        })
    }

    /// Fields that go with a handler and that it has.
    fn of_handler(&self) -> impl Iterator<Item = &'static str> {
        // Named one by one, so that a new field is not forgotten here.
        let Self {
            id: _,
            name: _,
            dependencies: _,
            pivot: _,
            wait: _,
            service,
            action,
            compensation_action,
            version,
            timeout,
            retry_attempts,
            retry_delay,
            data,
            compensate,
            on_in_doubt,
            compensation_timeout,
            compensation_retry_attempts,
            step_deadline,
            queue_timeout,
            heartbeat,
            overlap,
            late_binding,
            for_each,
        } = self;
        [
            ("service", !service.is_empty()),
            ("action", !action.is_empty()),
            ("compensationAction", compensation_action.is_some()),
            ("version", version.is_some()),
            ("timeout", timeout.is_some()),
            ("retryAttempts", *retry_attempts != 0),
            ("retryDelay", retry_delay.is_some()),
            ("data", data.is_some()),
            ("compensate", *compensate != Compensate::default()),
            ("onInDoubt", *on_in_doubt != OnInDoubt::default()),
            ("compensationTimeout", compensation_timeout.is_some()),
            (
                "compensationRetryAttempts",
                compensation_retry_attempts.is_some(),
            ),
            ("stepDeadline", step_deadline.is_some()),
            ("queueTimeout", queue_timeout.is_some()),
            ("heartbeat", heartbeat.is_some()),
            ("overlap", *overlap),
            ("lateBinding", *late_binding),
            ("forEach", for_each.is_some()),
        ]
        .into_iter()
        .filter_map(|(field, is_given)| is_given.then_some(field))
    }
}
