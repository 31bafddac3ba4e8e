//! The catalogue as rows of its table.

use nanopore::sample::{Item, Kind};
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction};
use sagabus::{Error, Result};
use serde_json::Value;

use super::{damaged, word};

/// The items of a kind, by name.
pub(crate) fn list_items(
    tx: &Transaction<'_>,
    kind: Kind,
    is_active: Option<bool>,
) -> Result<Vec<Item>> {
    let mut select = tx.prepare_cached(
        "SELECT * FROM catalogue WHERE kind = ?1 AND (?2 IS NULL OR is_active = ?2) ORDER BY name",
    )?;
    let items = select
        .query_map((kind.as_str(), is_active), read_item)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(items)
}

pub(crate) fn find_item(tx: &Transaction<'_>, kind: Kind, name: &str) -> Result<Option<Item>> {
    Ok(tx
        .prepare_cached("SELECT * FROM catalogue WHERE kind = ?1 AND name = ?2")?
        .query_row((kind.as_str(), name), read_item)
        .optional()?)
}

/// Keeps an item in the place of the one of its name, if there is one.
pub(crate) fn put_item(tx: &Transaction<'_>, item: &Item) -> Result<()> {
    let attributes = Value::Object(item.attributes.clone()).to_string();
    tx.prepare_cached(
        "INSERT INTO catalogue (kind, name, description, is_active, attributes) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (kind, name) DO UPDATE SET description = ?3, is_active = ?4, attributes = ?5",
    )?
    .execute((
        item.kind.as_str(),
        &item.name,
        &item.description,
        item.is_active,
        attributes,
    ))?;
    Ok(())
}

/// How many items of a kind there are.
pub(crate) fn count_items(tx: &Transaction<'_>, kind: Kind) -> Result<u64> {
    let count: i64 = tx.query_row(
        "SELECT count(*) FROM catalogue WHERE kind = ?1",
        [kind.as_str()],
        |row| row.get(0),
    )?;
    u64::try_from(count).map_err(|_| Error::invalid("count is negative"))
}

fn read_item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let attributes: String = row.get("attributes")?;
    Ok(Item {
        kind: word(row, "kind", Kind::from_word)?,
        name: row.get("name")?,
        description: row.get("description")?,
        is_active: row.get("is_active")?,
        attributes: serde_json::from_str(&attributes).map_err(damaged)?,
    })
}
