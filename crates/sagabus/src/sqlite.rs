//! SQLite for services that keep their state beside the bus: one thread per database, outbox, inbox, step barrier.
//!
//! A change of state and the event that tells of it are one transaction ([`Outbox::write`]); an event that has effects
//! is taken once ([`inbox::first_time`]); a handler is both at a time
//! ([`handler_tx`](crate::bus::SubscriptionBuilder::handler_tx)); a saga step has its effect once ([`barrier`]).

pub mod barrier;
mod database;
mod handler;
pub mod inbox;
mod load;
mod outbox;
mod relay;

pub use database::Database;
pub use load::{LOAD_BOUNDS, Load};
pub use outbox::{Outbox, OutboxCounts, Publish};
pub use relay::Relay;
/// The version of rusqlite that the closures of [`Database::call`] speak.
pub use rusqlite;

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// Tables of the outbox, the inbox and the barrier: the first migration of a service's database.
pub const TABLES: &str = include_str!("sqlite/tables.sql");
/// The fences of the [`barrier`]: a later migration, behind those that a service's database has already.
pub const FENCES: &str = include_str!("sqlite/fences.sql");

const NO_ROOM: (ErrorKind, &str) = (
    ErrorKind::Full,
    "the disk has no room for the database; free some space and repeat",
);

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let (kind, text) = match &error {
            rusqlite::Error::QueryReturnedNoRows => (ErrorKind::NotFound, "row does not exist"),
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
                    ErrorKind::Transient,
                    "database is locked by another process",
                ),
                ErrorCode::DiskFull => NO_ROOM,
                // The file beside the database that its connections share could not grow; nothing was written.
                ErrorCode::SystemIoFailure
                    if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
                {
                    NO_ROOM
                }
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                    (ErrorKind::Corrupt, "database file is damaged")
                }
                ErrorCode::SystemIoFailure => {
                    (ErrorKind::Closed, "database file cannot be read or written")
                }
                ErrorCode::ConstraintViolation => {
                    (ErrorKind::Conflict, "a rule of the database forbids it")
                }
                _ => (ErrorKind::Invalid, "database refuses the statement"),
            },
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => {
                (ErrorKind::Corrupt, "a stored value is not of its type")
            }
            _ => (ErrorKind::Invalid, "database refuses the statement"),
        };
        Self::new(kind, text).with_source(error)
    }
}

#[cfg(test)]
mod tests;
