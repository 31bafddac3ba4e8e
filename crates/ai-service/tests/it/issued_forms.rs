//! The forms that the facility issues, where they lie beside the workspace.

use std::path::PathBuf;

use crate::compare::{check, extract_file};

#[expect(
    clippy::print_stdout,
    reason = "what is skipped must be said, also by a helper of tests"
)]
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = crate::crate_dir().join("../../../shared/forms");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: the facility's own forms: there is no folder of them beside the workspace");
    None
}

#[tokio::test]
async fn the_filled_forms_are_read_exactly() {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "pdf") && path.with_extension("json").exists() {
            check(&path).await;
            let extraction = extract_file(&path).await;
            assert_eq!(extraction.issues, [], "{}", path.display());
            extraction.check().unwrap();
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} filled forms were found");
}

#[tokio::test]
async fn the_blank_form_has_no_value_but_its_printed_head() {
    let Some(folder) = folder() else { return };
    let extraction = extract_file(&folder.join("htsf-nanopore-dna-blank.pdf")).await;
    let fields: Vec<&str> = extraction
        .fields
        .iter()
        .map(|field| field.field.as_str())
        .collect();
    assert_eq!(fields, ["service_project", "owner", "lab"]);
    assert_eq!(extraction.issues, []);
    assert!(
        extraction
            .check()
            .unwrap_err()
            .to_string()
            .contains("no sample rows")
    );
}
