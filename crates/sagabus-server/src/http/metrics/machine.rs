//! What is told of the process and of the databases of its services.

use std::fmt;

use sagabus::sqlite::{LOAD_BOUNDS, Load};

use super::Snapshot;
use super::out::Out;
use crate::machine::resident_bytes;

impl Snapshot {
    pub(super) fn encode_machine(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let machine = &self.machine;
        out.gauge(
            "memory_usage_bytes",
            "Memory that the process has in RAM",
            resident_bytes(),
        )?;
        out.float_gauge(
            "cpu_usage_percent",
            "Processor time of the last seconds, in hundredths of one processor",
            machine.processor_percent(),
        )?;
        out.float_gauge(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970",
            machine.began(),
        )?;
        out.float_gauge(
            "event_loop_delay_seconds",
            "The most that a timer of the last seconds was late",
            machine.late().as_secs_f64(),
        )
    }

    /// Each service has one connection, whose thread does one transaction after the other.
    pub(super) fn encode_databases(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let each = |value: fn(&Load) -> u64| {
            let databases = self.databases.iter();
            databases.map(move |(name, load)| ([("database", *name)], value(load)))
        };
        out.gauges(
            "database_connection_pool_max",
            "Connections of a service to its database",
            each(|_| 1),
        )?;
        out.gauges(
            "database_connection_pool_active",
            "Connections that have a transaction",
            each(|load| u64::from(load.is_busy)),
        )?;
        out.gauges(
            "database_connection_pool_idle",
            "Connections that have none",
            each(|load| u64::from(!load.is_busy)),
        )?;
        out.gauges(
            "database_transactions_waiting",
            "Transactions that wait for the one before, at most 64 and the callers that wait for a place",
            each(|load| load.waiting),
        )?;
        let operation = |name: &'static str| [("operation", "transaction"), ("database", name)];
        out.counters(
            "db_queries",
            "Transactions since the start of the process",
            self.databases
                .iter()
                .map(|(name, load)| (operation(name), load.transactions())),
        )?;
        out.bucketed(
            "db_query_duration_seconds",
            "Time of a transaction with its sync, without its wait",
            self.databases.iter().map(|(name, load)| {
                let bounds = LOAD_BOUNDS.iter().map(std::time::Duration::as_secs_f64);
                let bounds = bounds.chain([f64::INFINITY]);
                let buckets = bounds.zip(load.times).collect();
                (operation(name), load.spent.as_secs_f64(), buckets)
            }),
        )
    }
}
