//! What a column is, by what stands above it, and how its cells are read.

use nanopore::sample::foreign;
use serde_json::{Map, Number, Value};

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A text, as it stands.
    Text(&'static str),
    /// A number, with or without its unit.
    Number(&'static str, &'static [&'static str]),
    /// A whole number.
    Count(&'static str),
    /// The concentration, and that it was measured by fluorescence.
    Qubit,
    /// A molecule in words of many systems.
    SampleType,
    /// A priority in words of many systems.
    Priority,
    /// Known, and not taken: the service says it itself.
    Own,
    /// Not known.
    Unknown,
}

/// What is wrong with a cell: the field and the text.
type Wrong = (&'static str, String);

const NG_UL: &[&str] = &["ng/ul"];
const UL: &[&str] = &["ul"];
const NG: &[&str] = &["ng"];

impl Target {
    /// The column under this header; `sampleName` is `sample name`, and `NanoDrop` is one word.
    pub(super) fn of(header: &str) -> Self {
        match Self::named(&plain(header, false)) {
            Self::Unknown => Self::named(&plain(header, true)),
            known => known,
        }
    }

    fn named(words: &str) -> Self {
        match words {
            "sample name" | "sample" | "sample identifier" | "name" => Self::Text("sampleName"),
            "project id" | "project" | "service project" => Self::Text("projectId"),
            "submitter name" | "submitter" => Self::Text("submitterName"),
            "submitter email" | "submitter e mail" | "email" | "e mail" => {
                Self::Text("submitterEmail")
            }
            "lab name" | "lab" | "laboratory" => Self::Text("labName"),
            "sample type" | "type" | "molecule" => Self::SampleType,
            "material" => Self::Text("material"),
            "sample buffer" | "buffer" => Self::Text("sampleBuffer"),
            "concentration" | "conc" | "conc." => Self::Number("concentration", NG_UL),
            "concentration method" => Self::Text("concentrationMethod"),
            "qubit" | "qubit conc" | "qubit conc." | "qubit concentration" => Self::Qubit,
            "nanodrop" | "nanodrop conc" | "nanodrop conc." | "nanodrop concentration" => {
                Self::Number("nanodropConcentration", NG_UL)
            }
            "260/280" | "a260/a280" | "260/280 ratio" | "a260/a280 ratio" | "a260/280"
            | "a260280 ratio" => Self::Number("a260280Ratio", &[]),
            "260/230" | "a260/a230" | "260/230 ratio" | "a260/a230 ratio" | "a260/230"
            | "a260230 ratio" => Self::Number("a260230Ratio", &[]),
            "volume" | "vol" | "vol." | "ul" => Self::Number("volume", UL),
            "total amount" | "amount" => Self::Number("totalAmount", NG),
            "flow cell type" | "chemistry" => Self::Text("flowCellType"),
            "flow cell product" | "flow cell" => Self::Text("flowCellProduct"),
            "flow cell count" | "flow cells" => Self::Count("flowCellCount"),
            "library kit" | "kit" => Self::Text("libraryKit"),
            "service type" | "service" => Self::Text("serviceType"),
            "priority" => Self::Priority,
            "assigned to" => Self::Text("assignedTo"),
            "library prep by" => Self::Text("libraryPrepBy"),
            "chart field" => Self::Text("chartField"),
            "status" => Self::Text("status"),
            "stage" => Self::Text("stage"),
            "id" | "submission id" | "submitted at" | "started at" | "completed at"
            | "created at" | "updated at" | "received at" | "version" | "created by" | "hold" => {
                Self::Own
            }
            _ => Self::Unknown,
        }
    }

    /// The field that it is; none when it is left out.
    pub(super) fn field(self) -> Option<&'static str> {
        match self {
            Self::Text(field) | Self::Number(field, _) | Self::Count(field) => Some(field),
            Self::Qubit => Some("concentration"),
            Self::SampleType => Some("sampleType"),
            Self::Priority => Some("priority"),
            Self::Own | Self::Unknown => None,
        }
    }

    /// Reads a cell that is not blank.
    pub(super) fn read(self, cell: &str, fields: &mut Map<String, Value>) -> Result<(), Wrong> {
        let mut put = |field: &str, value: Value| {
            fields.insert(field.to_owned(), value);
        };
        match self {
            Self::Text(field) => put(field, cell.into()),
            Self::Number(field, units) => put(field, number(field, cell, units)?),
            Self::Count(field) => {
                let count: u64 = cell.trim().parse().map_err(|_| {
                    let cell = cell.trim().escape_debug();
                    (field, format!("is `{cell}`, not a whole number"))
                })?;
                put(field, count.into());
            }
            Self::Qubit => {
                put("concentration", number("concentration", cell, NG_UL)?);
                put("concentrationMethod", "Qubit".into());
            }
            Self::SampleType => {
                let (kind, is_material) =
                    foreign::sample_type(cell).ok_or_else(|| unknown("sampleType", cell))?;
                put("sampleType", kind.as_str().into());
                if is_material && !fields.contains_key("material") {
                    fields.insert("material".to_owned(), cell.into());
                }
            }
            Self::Priority => {
                let priority = foreign::priority(cell).ok_or_else(|| unknown("priority", cell))?;
                put("priority", priority.as_str().into());
            }
            Self::Own | Self::Unknown => {}
        }
        Ok(())
    }
}

fn unknown(field: &'static str, cell: &str) -> Wrong {
    let cell = cell.trim().escape_debug();
    (
        field,
        format!("is `{cell}`, for which there is no word here"),
    )
}

/// The number of a cell. Its unit may stand behind it; a comma is refused, for it means a thousand in one place and a tenth in
/// another.
fn number(field: &'static str, cell: &str, units: &[&str]) -> Result<Value, Wrong> {
    let text = plain_unit(cell);
    let bare = units
        .iter()
        .find_map(|unit| text.strip_suffix(unit))
        .unwrap_or(&text)
        .trim();
    let is_plain = bare
        .bytes()
        .all(|it| it.is_ascii_digit() || b"+-.eE".contains(&it));
    let number = bare.parse::<f64>().ok().filter(|_| is_plain);
    let number = number.and_then(Number::from_f64).map(Value::Number);
    number.ok_or_else(|| {
        let cell = cell.trim().escape_debug();
        let unit = units
            .first()
            .map_or_else(String::new, |it| format!(" in {it}"));
        (
            field,
            format!("is `{cell}`, not a number{unit} with a point"),
        )
    })
}

fn plain_unit(cell: &str) -> String {
    let cell = cell.trim().to_lowercase();
    cell.replace(['µ', 'μ'], "u")
}

/// A header without marks, units and case; where it `is_split`, a capital behind a small letter begins a word.
fn plain(header: &str, is_split: bool) -> String {
    let mut text = String::new();
    let mut depth = 0_u32;
    let mut was_lower = false;
    for character in header.trim().chars() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            '*' | '"' | '\'' => {}
            'µ' | 'μ' => text.push('u'),
            '_' | '-' | ' ' | '\u{a0}' | '\n' | '\r' | '\t' => text.push(' '),
            it => {
                if is_split && it.is_uppercase() && was_lower {
                    text.push(' ');
                }
                text.extend(it.to_lowercase());
            }
        }
        was_lower = character.is_lowercase();
    }
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}
