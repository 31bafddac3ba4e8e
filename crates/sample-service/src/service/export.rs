//! Samples as a table, and the sample sheet of the sequencer's software.

use nanopore::sample::sheet::{self, Run, Sheet, SheetRow};
use nanopore::sample::{FieldErrors, Kind, Status};
use sagabus::{Error, Result};

use super::SampleService;
use crate::model::{Filter, Page, Sample, guarded};
use crate::repository as rows;

/// Most samples of one export.
const SAMPLES_MAX: u32 = 10_000;

/// The columns: those of the application before in their order, then what there is more.
const COLUMNS: [&str; 36] = [
    "ID",
    "Sample Name",
    "Project ID",
    "Submitter Name",
    "Submitter Email",
    "Lab Name",
    "Sample Type",
    "Sample Buffer",
    "Concentration",
    "Volume",
    "Total Amount",
    "Flow Cell Type",
    "Flow Cell Count",
    "Status",
    "Priority",
    "Assigned To",
    "Library Prep By",
    "Submitted At",
    "Started At",
    "Completed At",
    "Created At",
    "Updated At",
    "Chart Field",
    "Material",
    "Concentration Method",
    "NanoDrop Concentration",
    "A260/A280 Ratio",
    "A260/A230 Ratio",
    "Flow Cell Product",
    "Library Kit",
    "Service Type",
    "Stage",
    "Hold",
    "Received At",
    "Submission ID",
    "Version",
];

/// A sample on a sheet, by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SheetSample {
    /// The sample.
    pub id: String,
    /// What its reads are to be called; its name where nothing is said.
    pub alias: Option<String>,
    /// Its barcode; that of its details where nothing is said.
    pub barcode: Option<String>,
    /// Kind of row.
    pub kind: Option<String>,
}

impl SampleService {
    /// All samples that `filter` lets through, in the order of lists.
    ///
    /// # Errors
    /// `Invalid` when they are more than 10,000.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn export(&self, filter: Filter) -> Result<Vec<Sample>> {
        let page = Page {
            page: 1,
            limit: SAMPLES_MAX,
        };
        let (samples, total) = self.list(filter, page).await?;
        if total > u64::from(SAMPLES_MAX) {
            let text = format!(
                "there are {total} samples, more than {SAMPLES_MAX}: narrow them by `dateFrom` and `dateTo`"
            );
            return Err(Error::invalid(text));
        }
        Ok(samples)
    }

    /// The sample sheet of a run. Nothing is changed.
    ///
    /// # Errors
    /// `Invalid`, with every field that the sequencer's software or dorado would refuse; also for a kit or product that is not in
    /// the catalogue, and a sample that does not exist.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn sample_sheet(&self, run: Run, samples: Vec<SheetSample>) -> Result<Sheet> {
        self.read(move |tx| {
            let mut errors = FieldErrors::default();
            let product = run.flow_cell_product_code.as_deref();
            for (field, kind, name) in [
                ("kit", Kind::Kit, Some(run.kit.as_str())),
                ("flowCellProductCode", Kind::FlowCell, product),
            ] {
                if let Some(name) = name
                    && rows::find_item(tx, kind, name)?.is_none()
                {
                    let name = name.escape_debug();
                    errors.add(field, format!("`{name}` is no {kind} of the catalogue"));
                }
            }
            let mut sheet_rows = Vec::with_capacity(samples.len());
            for (index, row) in samples.into_iter().enumerate() {
                let Some(sample) = rows::find_sample(tx, &row.id)? else {
                    let id = row.id.escape_debug();
                    errors.add(
                        format!("samples[{index}].id"),
                        format!("is `{id}`, which is no sample"),
                    );
                    continue;
                };
                if sample.status == Status::Archived {
                    errors.add(format!("samples[{index}].id"), "is archived");
                }
                sheet_rows.push(SheetRow {
                    sample_name: sample.fields.sample_name,
                    alias: row.alias,
                    barcode: row.barcode.or(rows::details(tx, &row.id)?.barcode),
                    kind: row.kind,
                });
            }
            match errors.0.is_empty() {
                true => Ok(sheet::write(&run, &sheet_rows)?),
                false => Err(errors.into()),
            }
        })
        .await
    }
}

/// Samples as CSV. A text that a spreadsheet program would take for a formula has an apostrophe before it, which the import takes
/// away.
///
/// # Errors
/// `Invalid` when it cannot be written.
pub(crate) fn csv_of(samples: &[Sample]) -> Result<Vec<u8>> {
    let failed = |error: csv::Error| Error::invalid("table cannot be written").with_source(error);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(failed)?;
    for sample in samples {
        writer.write_record(cells(sample)).map_err(failed)?;
    }
    writer
        .into_inner()
        .map_err(|_| Error::invalid("table cannot be written"))
}

fn cells(sample: &Sample) -> [String; COLUMNS.len()] {
    let fields = &sample.fields;
    let text = |text: &str| guarded(text).into_owned();
    let option = |it: Option<&String>| it.map_or_else(String::new, |it| text(it));
    let number = |it: Option<f64>| it.map_or_else(String::new, |it| it.to_string());
    let time = |it: Option<sagabus::Timestamp>| it.map_or_else(String::new, |it| it.to_string());
    [
        text(&sample.id),
        text(&fields.sample_name),
        option(fields.project_id.as_ref()),
        text(&fields.submitter_name),
        text(&fields.submitter_email),
        option(fields.lab_name.as_ref()),
        fields.sample_type.as_str().to_owned(),
        option(fields.sample_buffer.as_ref()),
        number(fields.concentration),
        number(fields.volume),
        number(fields.total_amount),
        option(fields.flow_cell_type.as_ref()),
        fields.flow_cell_count.to_string(),
        sample.status.as_str().to_owned(),
        fields.priority.as_str().to_owned(),
        option(fields.assigned_to.as_ref()),
        option(fields.library_prep_by.as_ref()),
        time(Some(sample.submitted_at)),
        time(sample.started_at),
        time(sample.completed_at),
        time(Some(sample.created_at)),
        time(Some(sample.updated_at)),
        fields
            .chart_field
            .as_ref()
            .map_or_else(String::new, |it| text(it.as_str())),
        option(fields.material.as_ref()),
        fields
            .concentration_method
            .map_or_else(String::new, |it| it.as_str().to_owned()),
        number(fields.nanodrop_concentration),
        number(fields.a260280_ratio),
        number(fields.a260230_ratio),
        option(fields.flow_cell_product.as_ref()),
        option(fields.library_kit.as_ref()),
        option(fields.service_type.as_ref()),
        sample
            .stage
            .map_or_else(String::new, |it| it.as_str().to_owned()),
        sample
            .hold
            .as_ref()
            .map_or_else(String::new, |it| text(&it.reason)),
        time(sample.received_at),
        option(sample.submission_id.as_ref()),
        sample.version.to_string(),
    ]
}
