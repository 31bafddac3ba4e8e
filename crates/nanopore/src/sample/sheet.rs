//! The sample sheet of MinKNOW, as dorado takes it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::details::is_barcode;
use super::field::FieldErrors;

/// Most rows of a sheet.
const ROWS_MAX: usize = 384;
/// Kinds of rows.
const TYPES: [&str; 4] = [
    "test_sample",
    "positive_control",
    "negative_control",
    "no_template_control",
];

/// What a run is; empty texts are what was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Name of the experiment, the same on the whole sheet.
    pub experiment_id: String,
    /// Kit that the library was made with.
    pub kit: String,
    /// The flow cell; it or the position must be known.
    pub flow_cell_id: Option<String>,
    /// Where the flow cell is.
    pub position_id: Option<String>,
    /// Product code of the flow cell.
    pub flow_cell_product_code: Option<String>,
    /// The run, where the sheet is made after it.
    pub protocol_run_id: Option<String>,
    /// Name of what is on the flow cell: of the pool, where there are barcodes.
    pub sample_id: Option<String>,
}

/// A sample on the sheet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SheetRow {
    /// What the sample is called.
    pub sample_name: String,
    /// What its reads are to be called; the name of the sample where nothing is said.
    pub alias: Option<String>,
    /// Its barcode.
    pub barcode: Option<String>,
    /// Kind of row.
    pub kind: Option<String>,
}

/// A sheet, and what a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Sheet {
    /// The sheet as CSV.
    pub csv: String,
    /// What is allowed, and perhaps not meant.
    pub warnings: Vec<String>,
}

/// Writes the sheet.
///
/// # Errors
/// Every field of the run and of the rows (`samples[2].barcode`) that the sequencer's software or dorado would refuse.
pub fn write(run: &Run, rows: &[SheetRow]) -> Result<Sheet, FieldErrors> {
    let mut errors = FieldErrors::default();
    check_run(run, &mut errors);
    if rows.is_empty() || rows.len() > ROWS_MAX {
        errors.add(
            "samples",
            format!("has {} rows, not 1 to {ROWS_MAX}", rows.len()),
        );
    }
    let has_barcodes = rows.len() > 1 || rows.iter().any(|it| it.barcode.is_some());
    let mut warnings = Vec::new();
    let mut lines = Vec::new();
    let mut barcodes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut aliases: BTreeMap<String, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let mut wrong = FieldErrors::default();
        let alias = alias(row, &mut wrong, &mut warnings);
        if let Some(first) = aliases.insert(alias.clone(), index) {
            wrong.add(
                "alias",
                format!("is `{alias}`, as that of samples[{first}]"),
            );
        }
        match row.barcode.as_deref() {
            Some(barcode) if is_barcode(barcode) => {
                barcodes.entry(barcode).or_default().push(&row.sample_name);
            }
            Some(barcode) => {
                let barcode = barcode.escape_debug();
                wrong.add(
                    "barcode",
                    format!("is `{barcode}`, not `barcode` and digits"),
                );
            }
            None if has_barcodes => {
                wrong.add(
                    "barcode",
                    "is required where a flow cell has several samples",
                );
            }
            None => {}
        }
        let kind = row.kind.as_deref().unwrap_or("test_sample");
        if !TYPES.contains(&kind) {
            let kind = kind.escape_debug();
            wrong.add(
                "type",
                format!("is `{kind}`, not one of {}", TYPES.join(", ")),
            );
        }
        errors
            .0
            .extend(wrong.inside(&format!("samples[{index}]")).0);
        let sample_id = match (&run.sample_id, has_barcodes) {
            (Some(id), _) => id.clone(),
            (None, true) => String::new(),
            (None, false) => alias.clone(),
        };
        let barcode = row.barcode.clone().unwrap_or_default();
        lines.push([sample_id, barcode, alias, kind.to_owned()]);
    }
    for (barcode, names) in barcodes.iter().filter(|(_, names)| names.len() > 1) {
        warnings.push(format!(
            "`{barcode}` stands {} times: {}",
            names.len(),
            names.join(", ")
        ));
    }
    if !errors.0.is_empty() {
        return Err(errors);
    }
    let csv = table(run, &lines, has_barcodes);
    Ok(Sheet { csv, warnings })
}

/// A name as the sheet can have it. A space is written as an underscore, which is told; nothing else is changed.
fn alias(row: &SheetRow, wrong: &mut FieldErrors, warnings: &mut Vec<String>) -> String {
    let name = row.alias.as_deref().unwrap_or(&row.sample_name);
    let alias = name.replace(' ', "_");
    if alias != name {
        warnings.push(format!("`{}` is written `{alias}`", name.escape_debug()));
    }
    let is_own = row.barcode.as_deref() == Some(alias.as_str());
    if !is_name(&alias) {
        let text = format!(
            "is `{}`; letters of a to z, digits, `_`, `.` and `-` are allowed: give an `alias`",
            name.escape_debug()
        );
        wrong.add("alias", text);
    } else if is_barcode(&alias) && !is_own {
        wrong.add("alias", format!("is `{alias}`, which is a barcode"));
    }
    alias
}

fn check_run(run: &Run, errors: &mut FieldErrors) {
    let mut check = |field: &str, text: Option<&str>, is_good: fn(&str) -> bool, how: &str| {
        if let Some(text) = text
            && !is_good(text)
        {
            errors.add(field, format!("is `{}`; {how}", text.escape_debug()));
        }
    };
    let name = "1 to 40 letters of a to z, digits, `_`, `.` and `-` are allowed";
    let code = "capital letters, digits and `-` are allowed";
    check("experimentId", Some(&run.experiment_id), is_name, name);
    check("sampleId", run.sample_id.as_deref(), is_name, name);
    check(
        "kit",
        Some(&run.kit),
        is_kit,
        "capital letters, digits, `-` and `.` are allowed",
    );
    check("positionId", run.position_id.as_deref(), is_code, code);
    check(
        "flowCellProductCode",
        run.flow_cell_product_code.as_deref(),
        is_code,
        code,
    );
    check(
        "protocolRunId",
        run.protocol_run_id.as_deref(),
        is_run_id,
        "hex digits and `-` are allowed",
    );
    check(
        "flowCellId",
        run.flow_cell_id.as_deref(),
        |it| {
            all(it, |it| {
                it.is_ascii_uppercase() || it.is_ascii_digit() || "_-".contains(it)
            })
        },
        "capital letters, digits, `_` and `-` are allowed",
    );
    if run.flow_cell_id.is_none() && run.position_id.is_none() {
        errors.add("flowCellId", "or `positionId` is required");
    }
}

fn all(text: &str, is_good: fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(is_good)
}

fn is_name(text: &str) -> bool {
    text.len() <= 40 && all(text, |it| it.is_ascii_alphanumeric() || "_.-".contains(it))
}

fn is_code(text: &str) -> bool {
    all(text, |it| {
        it.is_ascii_uppercase() || it.is_ascii_digit() || it == '-'
    })
}

/// A kit, such as `SQK-NBD114-96`; people write the number of barcodes behind a point.
fn is_kit(text: &str) -> bool {
    all(text, |it| {
        it.is_ascii_uppercase() || it.is_ascii_digit() || "-.".contains(it)
    })
}

fn is_run_id(text: &str) -> bool {
    all(text, |it| it.is_ascii_hexdigit() || it == '-')
}

/// The columns that say something. All values have passed rules that leave nothing to quote.
fn table(run: &Run, lines: &[[String; 4]], has_barcodes: bool) -> String {
    // The sequencer's software writes a hyphen where people write the point.
    let kit = run.kit.replace('.', "-");
    let common = [
        ("protocol_run_id", run.protocol_run_id.clone()),
        ("position_id", run.position_id.clone()),
        ("flow_cell_id", run.flow_cell_id.clone()),
        ("experiment_id", Some(run.experiment_id.clone())),
        ("flow_cell_product_code", run.flow_cell_product_code.clone()),
        ("kit", Some(kit)),
    ];
    let common: Vec<_> = common
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let has_sample_id = lines.iter().all(|[id, ..]| !id.is_empty());
    let mut csv = String::new();
    let mut header: Vec<&str> = common.iter().map(|(name, _)| *name).collect();
    if has_sample_id {
        header.push("sample_id");
    }
    if has_barcodes {
        header.extend(["barcode", "alias", "type"]);
    }
    csv.push_str(&header.join(","));
    csv.push('\n');
    for [sample_id, barcode, alias, kind] in lines {
        let mut cells: Vec<&str> = common.iter().map(|(_, value)| value.as_str()).collect();
        if has_sample_id {
            cells.push(sample_id);
        }
        if has_barcodes {
            cells.extend([barcode.as_str(), alias, kind]);
        }
        csv.push_str(&cells.join(","));
        csv.push('\n');
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            experiment_id: "HTSF-2026.03".to_owned(),
            kit: "SQK-NBD114.96".to_owned(),
            flow_cell_id: Some("PAW12345".to_owned()),
            ..Run::default()
        }
    }

    fn row(name: &str, barcode: Option<&str>) -> SheetRow {
        SheetRow {
            sample_name: name.to_owned(),
            barcode: barcode.map(str::to_owned),
            ..SheetRow::default()
        }
    }

    fn fields(run: &Run, rows: &[SheetRow]) -> Vec<String> {
        let errors = write(run, rows).unwrap_err();
        errors.0.into_iter().map(|it| it.field).collect()
    }

    #[test]
    fn a_pool_has_a_line_for_each_barcode_and_one_twice_is_a_warning() {
        let rows = [
            row("pond 3B", Some("barcode01")),
            row("K12.1", Some("barcode02")),
            row("blank", Some("barcode02")),
        ];
        let sheet = write(&run(), &rows).unwrap();
        assert_eq!(
            sheet.csv,
            "flow_cell_id,experiment_id,kit,barcode,alias,type\n\
             PAW12345,HTSF-2026.03,SQK-NBD114-96,barcode01,pond_3B,test_sample\n\
             PAW12345,HTSF-2026.03,SQK-NBD114-96,barcode02,K12.1,test_sample\n\
             PAW12345,HTSF-2026.03,SQK-NBD114-96,barcode02,blank,test_sample\n"
        );
        assert_eq!(
            sheet.warnings,
            [
                "`pond 3B` is written `pond_3B`",
                "`barcode02` stands 2 times: K12.1, blank"
            ]
        );
    }

    #[test]
    fn a_sample_alone_needs_no_barcode() {
        let run = Run {
            position_id: Some("X1".to_owned()),
            flow_cell_product_code: Some("FLO-MIN114".to_owned()),
            ..run()
        };
        let sheet = write(&run, &[row("K12", None)]).unwrap();
        assert_eq!(
            sheet.csv,
            "position_id,flow_cell_id,experiment_id,flow_cell_product_code,kit,sample_id\n\
             X1,PAW12345,HTSF-2026.03,FLO-MIN114,SQK-NBD114-96,K12\n"
        );
    }

    #[test]
    fn what_dorado_or_the_sequencer_would_refuse_is_named() {
        let wrong = Run {
            experiment_id: "a b".to_owned(),
            kit: String::new(),
            flow_cell_id: None,
            ..Run::default()
        };
        assert_eq!(
            fields(&wrong, &[row("a", None)]),
            ["experimentId", "kit", "flowCellId"]
        );
        let wrong = Run {
            flow_cell_id: Some("paw1".to_owned()),
            position_id: Some("1_A".to_owned()),
            flow_cell_product_code: Some("FLO MIN".to_owned()),
            protocol_run_id: Some("x".to_owned()),
            sample_id: Some("x,y".to_owned()),
            ..run()
        };
        assert_eq!(
            fields(&wrong, &[]),
            [
                "sampleId",
                "positionId",
                "flowCellProductCode",
                "protocolRunId",
                "flowCellId",
                "samples"
            ]
        );
        let rows = [
            row("a", None),
            row("übung", Some("barcode01")),
            row("b", Some("BC02")),
            row("barcode03", Some("barcode04")),
            row("a", Some("barcode05")),
        ];
        assert_eq!(
            fields(&run(), &rows),
            [
                "samples[0].barcode",
                "samples[1].alias",
                "samples[2].barcode",
                "samples[3].alias",
                "samples[4].alias"
            ]
        );
        let mut control = row("ntc", Some("barcode01"));
        control.kind = Some("water".to_owned());
        assert_eq!(fields(&run(), &[control]), ["samples[0].type"]);
    }
}
