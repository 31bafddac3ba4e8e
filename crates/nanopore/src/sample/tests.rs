//! Rules of the sample, as a person meets them.

use serde_json::{Map, Value, json};

use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => panic!("not an object"),
    }
}

fn good() -> Map<String, Value> {
    object(json!({
        "sampleName": "E.coli_K12.1", "submitterName": "Siobhán O'Neill",
        "submitterEmail": "Core-Data@Lab.example.edu ", "sampleType": "DNA", "chartField": "HTSF-001",
    }))
}

fn read_with(field: &str, value: Value) -> Result<NewSample, FieldErrors> {
    let mut fields = good();
    fields.insert(field.to_owned(), value);
    NewSample::read(&fields, Origin::Entry)
}

#[track_caller]
fn check(field: &str, value: Value, expected: Option<&str>) {
    let shown = value.to_string();
    match (read_with(field, value), expected) {
        (Ok(_), None) => {}
        (Err(errors), Some(text)) => {
            assert_eq!(errors.0.len(), 1, "{errors}");
            assert_eq!(errors.0[0].field, field);
            assert!(errors.0[0].message.contains(text), "{errors}");
        }
        (Ok(_), Some(text)) => panic!("{field} = {shown} is accepted, not refused with `{text}`"),
        (Err(errors), None) => panic!("{field} = {shown} is refused: {errors}"),
    }
}

#[test]
fn a_sample_moves_only_along_the_legal_transitions() {
    use Status::{Analysis, Archived, Completed, Distributed, Prep, Sequencing, Submitted};
    let legal = [
        (Submitted, Prep),
        (Submitted, Archived),
        (Prep, Sequencing),
        (Prep, Submitted),
        (Prep, Archived),
        (Sequencing, Analysis),
        (Sequencing, Prep),
        (Sequencing, Archived),
        (Analysis, Completed),
        (Analysis, Sequencing),
        (Analysis, Archived),
        (Completed, Distributed),
        (Completed, Archived),
        (Distributed, Archived),
    ];
    for from in Status::ALL {
        for to in Status::ALL {
            assert_eq!(
                from.can_become(to),
                legal.contains(&(from, to)),
                "{from} to {to}"
            );
        }
    }
}

#[test]
fn every_word_reads_back_as_itself_and_is_the_word_on_the_wire() {
    for status in Status::ALL {
        assert_eq!(Status::from_word(status.as_str()), Some(status));
        assert_eq!(json!(status), status.as_str());
    }
    for priority in Priority::ALL {
        assert_eq!(Priority::from_word(priority.as_str()), Some(priority));
        assert_eq!(json!(priority), priority.as_str());
    }
    for kind in SampleType::ALL {
        assert_eq!(SampleType::from_word(kind.as_str()), Some(kind));
        assert_eq!(json!(kind), kind.as_str());
    }
    for method in ConcentrationMethod::ALL {
        assert_eq!(
            ConcentrationMethod::from_word(method.as_str()),
            Some(method)
        );
        assert_eq!(json!(method), method.as_str());
    }
}

#[test]
fn only_documented_defaults_are_filled_in() {
    let sample = NewSample::read(&good(), Origin::Entry).unwrap();
    assert_eq!(
        serde_json::to_value(&sample).unwrap(),
        json!({
            "sampleName": "E.coli_K12.1", "submitterName": "Siobhán O'Neill",
            "submitterEmail": "core-data@lab.example.edu", "sampleType": "DNA", "chartField": "HTSF-001",
            "priority": "normal", "flowCellCount": 1,
        })
    );
    assert_eq!(Status::default(), Status::Submitted);
}

#[test]
fn every_missing_field_is_named_at_once() {
    let errors = NewSample::read(&Map::new(), Origin::Entry).unwrap_err();
    let fields: Vec<_> = errors.0.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "sampleName",
            "submitterName",
            "submitterEmail",
            "sampleType",
            "chartField"
        ]
    );
}

#[test]
fn a_sample_from_a_form_needs_no_chart_field_and_gets_none() {
    let mut fields = good();
    fields.remove("chartField");
    let sample = NewSample::read(&fields, Origin::Form).unwrap();
    assert_eq!(sample.chart_field, None);
    assert!(NewSample::read(&fields, Origin::Entry).is_err());
}

#[test]
fn each_field_has_its_rule() {
    check("sampleName", json!("pond 3B – übung"), Some("`–`"));
    check("sampleName", json!("Über-pond_3.B"), None);
    check("sampleName", json!("  "), Some("is empty"));
    check("sampleName", json!("x".repeat(256)), Some("more than 255"));
    check("sampleName", json!(7), Some("must be a text"));
    check("submitterName", json!("Lars Bjørnson"), None);
    check("submitterName", json!("Bo 2"), Some("`2`"));
    check("submitterEmail", json!("nobody"), Some("e-mail"));
    check("submitterEmail", json!("a@b"), Some("e-mail"));
    check(
        "submitterEmail",
        json!("a..b@lab.example.edu"),
        Some("e-mail"),
    );
    check("labName", json!("O'Neill, Siobhán (UNC) Lab"), None);
    check("labName", json!("<b>lab</b>"), Some("`<`"));
    check("sampleType", json!("cDNA"), None);
    check(
        "sampleType",
        json!("dna"),
        Some("DNA, RNA, cDNA, Protein, Other"),
    );
    check("sampleBuffer", json!("Tris < 10 mM & EDTA"), None);
    check("chartField", json!("HTSF-01"), Some("three digits"));
    check("chartField", json!("PROJ-001"), Some("three digits"));
    check("concentration", json!(0.05), Some("0.1 to 1000 ng/µL"));
    check("concentration", json!("50"), Some("must be a number"));
    check("concentration", Value::Null, None);
    check("nanodropConcentration", json!(1200.5), None);
    check(
        "a260280Ratio",
        json!(298.9),
        Some("298.9, not within 0 to 10"),
    );
    check("volume", json!(1000.1), Some("0.1 to 1000 µL"));
    check("volume", json!(1e308), Some("is 1e308 µL, not within"));
    check("volume", json!(1e-300), Some("is 1e-300 µL, not within"));
    check("totalAmount", json!(0), Some("0.001 to 100000 ng"));
    check("flowCellType", json!("R9.4.1"), None);
    check("flowCellType", json!(10.4), Some("must be a text"));
    check("serviceType", json!("standard"), None);
    check("flowCellCount", json!(0), Some("1 to 10"));
    check("flowCellCount", json!(1.5), Some("1 to 10"));
    check("priority", json!("rush"), Some("low, normal, high, urgent"));
    check("assignedTo", json!("Grace"), None);
    check("sampelName", json!("x"), Some("is not a field"));
}

#[test]
fn an_amount_must_be_concentration_times_volume() {
    let mut fields = good();
    fields.extend(object(
        json!({"concentration": 50.5, "volume": 25, "totalAmount": 1262.5}),
    ));
    assert!(NewSample::read(&fields, Origin::Entry).is_ok());
    fields.insert("totalAmount".to_owned(), json!(1262.502));
    let errors = NewSample::read(&fields, Origin::Entry).unwrap_err();
    assert_eq!(errors.0[0].field, "totalAmount");
}

#[test]
fn a_patch_replaces_clears_and_tells_what_changed() {
    let sample = read_with("volume", json!(12.5)).unwrap();
    let (after, changes) = sample
        .patched(&object(
            json!({"volume": null, "priority": "high", "sampleName": "E.coli_K12.1"}),
        ))
        .unwrap();
    assert_eq!((after.volume, after.priority), (None, Priority::High));
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["priority", "volume"]);
    assert_eq!(changes["volume"].old_value, json!(12.5));
    assert_eq!(changes["volume"].new_value, Value::Null);
}

#[test]
fn a_patch_can_neither_assign_nor_remove_the_account() {
    let sample = NewSample::read(&good(), Origin::Entry).unwrap();
    let errors = sample
        .patched(&object(
            json!({"assignedTo": "Grace", "chartField": null, "volume": -1}),
        ))
        .unwrap_err();
    let fields: Vec<_> = errors.0.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["assignedTo", "chartField", "volume"]);
}

#[test]
fn the_accounts_known_from_the_start_fit_the_rule() {
    for code in CHART_FIELDS {
        assert!(ChartField::try_from(code.to_owned()).is_ok(), "{code}");
    }
    let error = serde_json::from_value::<ChartField>(json!("HTSF-0001")).unwrap_err();
    assert!(error.to_string().contains("chartField"), "{error}");
}

#[test]
fn a_submitter_is_checked_before_there_is_a_sample() {
    assert_eq!(check_submitter(None, None), Ok(()));
    assert_eq!(
        check_submitter(Some("Lars Bjørnson"), Some(" lars@lab.example.edu ")),
        Ok(())
    );
    let errors = check_submitter(Some("Lars 2"), Some("lars")).unwrap_err();
    let fields: Vec<_> = errors.0.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["submitterName", "submitterEmail"]);
}

#[test]
fn a_line_of_many_errors_stays_readable() {
    let mut errors = FieldErrors::default();
    for row in 0..25 {
        errors.add(format!("samples[{row}].volume"), "is required");
    }
    let line = errors.to_string();
    assert!(
        line.ends_with("`samples[19].volume` is required; and 5 more"),
        "{line}"
    );
}

#[test]
fn details_keep_scientific_text_as_it_was_sent_and_name_each_wrong_field() {
    let sent = object(json!({
        "organism": "Escherichia coli K-12 <substr. MG1655> & ΔlacZ", "genomeSize": "4.6 Mb",
        "barcodingRequired": false, "barcode": "barcode07", "runTimeHours": 72, "fileFormat": "POD5",
        "dataDeliveryMethod": "cloud", "qcPassed": false, "internalNotes": "line 1\n\tline 2  ",
        "specialInstructions": "javascript: is a language; onload=no", "basecallingModel": "sup",
    }));
    let details = Details::read(&sent).unwrap();
    assert_eq!(serde_json::to_value(&details).unwrap(), Value::Object(sent));
    let (after, changes) = details
        .patched(&object(
            json!({"qcPassed": null, "runTimeHours": 48, "barcode": "barcode07"}),
        ))
        .unwrap();
    assert_eq!((after.qc_passed, after.run_time_hours), (None, Some(48)));
    assert_eq!(
        changes.keys().collect::<Vec<_>>(),
        ["details.qcPassed", "details.runTimeHours"]
    );
    let wrong = object(json!({
        "organism": "", "barcode": "7", "runTimeHours": 0, "fileFormat": "fastq", "qcPassed": "yes",
        "dataDeliveryMethod": "pigeon", "colour": "red", "genomeSize": "x".repeat(51),
    }));
    let errors = Details::read(&wrong).unwrap_err();
    let mut fields: Vec<_> = errors.0.iter().map(|error| error.field.as_str()).collect();
    fields.sort_unstable();
    let mut expected: Vec<_> = wrong.keys().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(fields, expected);
}

#[test]
fn an_item_of_the_catalogue_has_a_name_and_a_service_its_days() {
    let read = |kind, fields| Item::read(kind, &object(fields));
    let kit = read(
        Kind::Kit,
        json!({"name": "SQK-LSK114", "attributes": {"price": 599.5}}),
    )
    .unwrap();
    assert!(kit.is_active);
    for (kind, fields, field) in [
        (Kind::Kit, json!({}), "name"),
        (Kind::Kit, json!({"name": "a", "isActive": 1}), "isActive"),
        (
            Kind::Kit,
            json!({"name": "a", "attributes": []}),
            "attributes",
        ),
        (
            Kind::Kit,
            json!({"name": "a", "attributes": {"x": "y".repeat(4_096)}}),
            "attributes",
        ),
        (Kind::Kit, json!({"name": "a", "price": 1}), "price"),
        (Kind::ChartField, json!({"name": "PROJ-1"}), "name"),
        (
            Kind::Service,
            json!({"name": "rush"}),
            "attributes.targetDays",
        ),
        (
            Kind::Service,
            json!({"name": "rush", "attributes": {"targetDays": 0}}),
            "attributes.targetDays",
        ),
    ] {
        let errors = read(kind, fields).unwrap_err();
        assert_eq!(errors.0[0].field, field, "{errors}");
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
        assert_eq!(json!(kind), kind.as_str());
    }
}
