//! The figures of samples that the metrics tell: how many of each kind there are, and how long the completed ones took.

use sagabus::Error;
use serde_json::json;

use super::fixture::{Fixture, actor, fields};

const HOUR_MS: i64 = 3_600_000;

/// Makes a sample of this molecule and priority.
async fn create(fixture: &Fixture, molecule: &str, priority: &str) -> String {
    let mut fields = fields();
    fields.insert("sampleType".to_owned(), molecule.into());
    fields.insert("priority".to_owned(), priority.into());
    let made = fixture.service.create(&fields, actor()).await;
    made.unwrap().id
}

/// Gives a sample its times: form, tube, completion, and how long it was on hold, in milliseconds.
async fn times(fixture: &Fixture, id: &str, times: (i64, Option<i64>, Option<i64>, i64)) {
    let (id, (form, tube, completed, held)) = (id.to_owned(), times);
    let changed = fixture.service.outbox().database().call(move |tx| {
        let update = "UPDATE samples SET submitted_ms = ?2, received_ms = ?3, completed_ms = ?4, held_total_ms = ?5 WHERE id = ?1";
        Ok::<_, Error>(tx.execute(update, (id, form, tube, completed, held))?)
    });
    assert_eq!(changed.await.unwrap(), 1);
}

#[tokio::test]
async fn samples_are_counted_by_molecule_and_priority_and_their_time_is_that_without_holds() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for (molecule, priority) in [
        ("DNA", "normal"),
        ("DNA", "normal"),
        ("DNA", "urgent"),
        ("RNA", "normal"),
        ("RNA", "normal"),
    ] {
        ids.push(create(&fixture, molecule, priority).await);
    }
    for (id, is) in ids.iter().zip([
        // The tube came an hour after the form; of two hours one and a half were a hold: half an hour.
        (0, Some(HOUR_MS), Some(3 * HOUR_MS), HOUR_MS * 3 / 2),
        // The tube was there before the form: exactly eight hours, which is the end of a class and within it.
        (HOUR_MS, Some(0), Some(9 * HOUR_MS), 0),
        // A hundred days and no tube that anybody noted.
        (0, None, Some(2_400 * HOUR_MS), 0),
        // Held longer than it took, by a clock that was set back.
        (0, Some(0), Some(HOUR_MS), 2 * HOUR_MS),
        // Not completed.
        (0, Some(0), None, 0),
    ]) {
        times(&fixture, id, is).await;
    }
    let measures = fixture.service.measures().await.unwrap();
    let mut samples = measures.samples;
    samples.sort();
    assert_eq!(
        json!(samples),
        json!([
            ["DNA", "normal", 2],
            ["DNA", "urgent", 1],
            ["RNA", "normal", 2]
        ])
    );
    assert_eq!(measures.processing_counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    let expected = 1_800.0 + 8.0 * 3_600.0 + 2_400.0 * 3_600.0;
    assert!((measures.processing_seconds - expected).abs() < 1e-6);
}
