//! What a report says, and that its files are what they say they are.

use nanopore::events::audit::Actor;
use serde_json::{Value, json};

use super::*;

fn entry(sequence: u64, action: &str, duration_ms: Option<i64>) -> Entry {
    let time = Timestamp::from_milliseconds(1_772_366_400_000);
    Entry {
        sequence,
        id: format!("id-{sequence}"),
        event_id: None,
        timestamp: time,
        recorded_at: time,
        actor: Actor {
            id: Some("ada".to_owned()),
            email: None,
            service: "sample-service".to_owned(),
        },
        action: action.to_owned(),
        resource: "sample".to_owned(),
        resource_id: Some("S-12".to_owned()),
        outcome: "success".to_owned(),
        severity: "info".to_owned(),
        category: "data_modification".to_owned(),
        correlation_id: None,
        causation_id: None,
        reason: Some("=cmd, \"quoted\"".to_owned()),
        ip_address: None,
        user_agent: None,
        session_id: None,
        tags: Value::Null,
        duration_ms,
        old_values: json!({"volume": 3}),
        new_values: json!({"volume": 4}),
        details: json!({}),
        hash: "ab".to_owned(),
    }
}

fn report(entries: Vec<Entry>) -> Report {
    let time = Timestamp::from_milliseconds(1_772_366_400_000);
    Report {
        report_id: "report-1".to_owned(),
        name: "Weekly (all) Nuñez 中".to_owned(),
        report_type: ReportType::Activity,
        from: time,
        to: time,
        generated_at: time,
        requested_by: "head".to_owned(),
        summary: Summary::of(&entries, false),
        entries,
    }
}

#[test]
fn a_summary_counts_what_is_there_and_how_long_it_took() {
    let mut entries: Vec<_> = (1..=20)
        .map(|it| entry(it, "sample.updated", i64::try_from(it).ok()))
        .collect();
    entries.push(entry(21, "sample.created", None));
    let summary = Summary::of(&entries, true);
    assert_eq!(summary.record_count, 21);
    assert_eq!(
        summary.by_action,
        [
            ("sample.updated".to_owned(), 20),
            ("sample.created".to_owned(), 1)
        ]
    );
    assert_eq!(summary.by_actor, [("ada".to_owned(), 21)]);
    let wanted = Durations {
        count: 20,
        mean: 10,
        median: 10,
        p95: 19,
        max: 20,
    };
    assert_eq!(summary.duration_ms, Some(wanted));
    assert_eq!(Summary::of(&[], false).duration_ms, None);
}

#[test]
fn a_table_has_a_row_for_each_entry_and_no_formula() {
    let text = report(vec![
        entry(1, "sample.created", None),
        entry(2, "-sum", Some(7)),
    ]);
    let text = String::from_utf8(text.write(ReportFormat::Csv).unwrap()).unwrap();
    let lines: Vec<_> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 3);
    let columns = lines[0].split(',').count();
    assert_eq!(columns, 22);
    assert!(lines[1].contains(r#""'=cmd, ""quoted""""#), "{}", lines[1]);
    assert!(
        lines[2].contains(r#"ada,,"'-sum",sample,S-12"#),
        "{}",
        lines[2]
    );
    assert!(lines[1].contains(r#""{""volume"":3}""#), "{}", lines[1]);
}

#[test]
fn a_pdf_is_read_by_another_program_with_every_entry_on_its_pages() {
    let entries: Vec<_> = (1..=200)
        .map(|it| entry(it, &format!("sample.act{it}"), None))
        .collect();
    let bytes = report(entries).write(ReportFormat::Pdf).unwrap();
    assert!(bytes.starts_with(b"%PDF-1.4"));
    let pages = pdf_extract::extract_text_from_mem_by_pages(&bytes).unwrap();
    assert!(pages.len() > 10, "{}", pages.len());
    let text: String = pages
        .concat()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for wanted in [
        "Weekly (all) Nuñez [U+4E2D] (activity)",
        "sample.act1 ",
        "sample.act200 ",
        "sample S-12 by ada success",
        "because: =cmd, \"quoted\"",
        "before: {\"volume\":3}",
        "after: {\"volume\":4}",
        &format!("page {0} of {0}", pages.len()),
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}
