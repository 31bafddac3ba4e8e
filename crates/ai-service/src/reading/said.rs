//! What the fields of a simple form or of a quote say of all its samples.

use crate::form::{FieldEvidence, Form, Said, Sample};

/// The fields that a quote may have above its table; the others are those of its rows.
pub(crate) const OF_ALL: [&str; 12] = [
    "submitterName",
    "submitterEmail",
    "labName",
    "projectName",
    "chartField",
    "sequencingType",
    "sampleType",
    "sampleBuffer",
    "libraryType",
    "flowCellType",
    "flowCellCount",
    "priority",
];

/// What fields of these names say.
pub(super) fn said(fields: &[FieldEvidence]) -> Said {
    let value = |name: &str| {
        let field = fields.iter().find(|it| it.field == name)?;
        Some(field.value.clone())
    };
    Said {
        submitter_name: value("submitterName"),
        submitter_email: value("submitterEmail"),
        lab_name: value("labName"),
        project_name: value("projectName"),
        chart_field: value("chartField"),
        sequencing_type: value("sequencingType"),
        sample_type: value("sampleType"),
        sample_buffer: value("sampleBuffer"),
        library_type: value("libraryType"),
        flow_cell_type: value("flowCellType"),
        flow_cell_count: value("flowCellCount"),
        priority: value("priority"),
    }
}

/// A form of one sample, where it has a name.
pub(super) fn form(fields: &[FieldEvidence]) -> Form {
    let find = |name: &str| fields.iter().find(|it| it.field == name);
    let number = |name: &str, unit: &str| {
        let field = find(name).filter(|it| it.unit.as_deref() == Some(unit))?;
        field.value.parse::<f64>().ok()
    };
    let (qubit_ng_ul, nanodrop_ng_ul) = (
        number("qubitConcentration", "ng/µL"),
        number("nanodropConcentration", "ng/µL"),
    );
    let measured = qubit_ng_ul.is_some() || nanodrop_ng_ul.is_some();
    let sample = find("sampleName").map(|name| Sample {
        sample_name: name.value.clone(),
        volume_ul: number("volume", "µL"),
        qubit_ng_ul,
        nanodrop_ng_ul,
        concentration_ng_ul: number("concentration", "ng/µL").filter(|_| !measured),
        ..Sample::default()
    });
    Form {
        samples: sample.into_iter().collect(),
        said: Some(Box::new(said(fields))),
        ..Form::default()
    }
}
