//! The catalogue: what samples may name, and the check that they do.

use nanopore::sample::{Details, FieldErrors, Item, Kind, NewSample};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, Result};
use serde_json::{Map, Value};

use super::{Actor, SampleService, conflict};
use crate::repository as rows;

/// Most items of one kind.
const ITEMS_MAX: u64 = 10_000;

impl SampleService {
    /// The items of a kind, by name.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn catalogue(&self, kind: Kind, is_active: Option<bool>) -> Result<Vec<Item>> {
        self.read(move |tx| rows::list_items(tx, kind, is_active))
            .await
    }

    /// Adds an item; publishes `catalogue.changed`.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field; `Conflict` when there is one of that name.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn add_item(
        &self,
        kind: Kind,
        fields: &Map<String, Value>,
        actor: Actor,
    ) -> Result<Item> {
        let item = Item::read(kind, fields)?;
        self.change(actor, move |tx, act| {
            if rows::find_item(tx, kind, &item.name)?.is_some() {
                let text = format!("is `{}`, which is there already", item.name);
                return Err(conflict(
                    "catalogue has this item",
                    FieldErrors::one("name", text),
                ));
            }
            if rows::count_items(tx, kind)? >= ITEMS_MAX {
                let text =
                    format!("catalogue has {ITEMS_MAX} items of this kind, the most there can be");
                return Err(Error::invalid(text));
            }
            rows::put_item(tx, &item)?;
            let event = act.publisher.catalogue_changed(&item, true)?;
            Ok((item, vec![event]))
        })
        .await
    }

    /// Changes an item: given fields replace. Publishes `catalogue.changed`, or nothing when nothing changes. What samples
    /// say already stays.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, with every wrong field.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn change_item(
        &self,
        kind: Kind,
        name: String,
        patch: Map<String, Value>,
        actor: Actor,
    ) -> Result<Item> {
        self.change(actor, move |tx, act| {
            let before = rows::find_item(tx, kind, &name)?.ok_or_else(|| {
                let name = name.escape_debug();
                Error::not_found(format!("{kind} `{name}` does not exist"))
            })?;
            if patch.get("name").is_some_and(|it| *it != before.name) {
                return Err(FieldErrors::one("name", "cannot be changed: samples name it").into());
            }
            let mut fields = Map::new();
            fields.insert("name".to_owned(), before.name.clone().into());
            fields.insert("isActive".to_owned(), before.is_active.into());
            fields.insert("attributes".to_owned(), before.attributes.clone().into());
            fields.insert("description".to_owned(), before.description.clone().into());
            fields.extend(patch);
            let item = Item::read(kind, &fields)?;
            if item == before {
                return Ok((item, vec![]));
            }
            rows::put_item(tx, &item)?;
            let event = act.publisher.catalogue_changed(&item, false)?;
            Ok((item, vec![event]))
        })
        .await
    }
}

/// What a sample names must be in the catalogue and active; what it named before may stay.
pub(super) fn check_named(
    tx: &Transaction<'_>,
    fields: &NewSample,
    before: Option<&NewSample>,
) -> Result<()> {
    let named = |sample: &NewSample| {
        [
            (
                "flowCellType",
                Kind::Chemistry,
                sample.flow_cell_type.clone(),
            ),
            (
                "flowCellProduct",
                Kind::FlowCell,
                sample.flow_cell_product.clone(),
            ),
            ("libraryKit", Kind::Kit, sample.library_kit.clone()),
            ("serviceType", Kind::Service, sample.service_type.clone()),
            (
                "chartField",
                Kind::ChartField,
                sample.chart_field.clone().map(String::from),
            ),
        ]
    };
    check(tx, &named(fields), before.map(named).as_ref())
}

/// The account that a form names must be in the catalogue and active; its other words are the form's own.
pub(super) fn check_account(tx: &Transaction<'_>, fields: &NewSample) -> Result<()> {
    let account = fields.chart_field.clone().map(String::from);
    check(tx, &[("chartField", Kind::ChartField, account)], None)
}

/// The same for the details of a sample.
pub(super) fn check_details(
    tx: &Transaction<'_>,
    details: &Details,
    before: &Details,
) -> Result<()> {
    let named = |details: &Details| {
        [
            (
                "libraryPrepKit",
                Kind::Kit,
                details.library_prep_kit.clone(),
            ),
            ("barcodeKit", Kind::Kit, details.barcode_kit.clone()),
        ]
    };
    check(tx, &named(details), Some(&named(before)))
}

type Named<const N: usize> = [(&'static str, Kind, Option<String>); N];

fn check<const N: usize>(
    tx: &Transaction<'_>,
    named: &Named<N>,
    before: Option<&Named<N>>,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    for (index, (field, kind, name)) in named.iter().enumerate() {
        let Some(name) = name else { continue };
        let was = before.and_then(|it| it.get(index));
        if was.is_some_and(|(_, _, was)| was.as_ref() == Some(name)) {
            continue;
        }
        let item = rows::find_item(tx, *kind, name)?;
        if item.is_some_and(|it| it.is_active) {
            continue;
        }
        let name = name.escape_debug();
        errors.add(
            *field,
            match kind {
                Kind::ChartField => format!("`{name}` is not an active account"),
                _ => format!("`{name}` is not an active {kind} of the catalogue"),
            },
        );
    }
    match errors.0.is_empty() {
        true => Ok(()),
        false => Err(errors.into()),
    }
}
