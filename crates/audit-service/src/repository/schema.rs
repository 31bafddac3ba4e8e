//! Whether the file holds the tables, indexes and triggers that the program makes, and no others.
//!
//! What SQLite finds and does depends on how things are declared: an index in another order, a table with another comparison, a
//! view in the place of a table or a trigger besides hide entries or keep new ones away while each page is as it should be.

use std::collections::BTreeMap;

use sagabus::sqlite::rusqlite::Connection;
use sagabus::{Error, ErrorKind, Result};

/// What is declared, by kind and name.
type Declared = BTreeMap<(String, String), String>;

/// What is declared otherwise than the program does that made the file.
pub(crate) fn schema_fault(connection: &Connection, migrations: &[&str]) -> Result<Option<String>> {
    let version: usize =
        usize::try_from(
            connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?,
        )
        .unwrap_or(usize::MAX);
    let Some(migrations) = migrations.get(..version) else {
        let text = "the database was made by a newer program";
        return Err(Error::new(ErrorKind::Conflict, text));
    };
    let fresh = Connection::open_in_memory()?;
    for migration in migrations {
        fresh.execute_batch(migration)?;
    }
    let (expected, mut found) = (declared(&fresh)?, declared(connection)?);
    for ((kind, name), sql) in expected {
        match found.remove(&(kind.clone(), name.clone())) {
            Some(other) if other == sql => {}
            Some(_) => {
                return Ok(Some(format!(
                    "the {kind} `{name}` is not as the program made it"
                )));
            }
            None => return Ok(Some(format!("the {kind} `{name}` is gone"))),
        }
    }
    let more = found.into_keys().next();
    Ok(more.map(|(kind, name)| {
        let name = name.escape_debug();
        format!("the {kind} `{name}` is none that the program made")
    }))
}

/// All that is declared, but for the trail of before, which goes once it is taken up, and what SQLite counts for itself.
fn declared(connection: &Connection) -> Result<Declared> {
    let mut select = connection.prepare(
        "SELECT type, name, tbl_name || ': ' || coalesce(sql, '') FROM sqlite_schema \
         WHERE tbl_name NOT LIKE 'audit\\_chained%' ESCAPE '\\' AND tbl_name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'",
    )?;
    let rows = select.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
