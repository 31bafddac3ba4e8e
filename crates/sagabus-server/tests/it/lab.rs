//! Many submissions at once, as the bench of the lab hands them in: nothing is lost or doubled, and samples can be looked at meanwhile.

use serde_json::Value;

use crate::program::{Place, run};

#[test]
fn many_submissions_at_once_lose_and_double_nothing_while_samples_are_looked_at() {
    let place = Place::new();
    let dir = place.file("bench");
    std::fs::create_dir(&dir).unwrap();
    let small = ["--submissions", "12", "--samples", "25", "-o", "json"];
    let order = ["bench", "lab", "--dir", dir.to_str().unwrap()];
    let ran = run(&[&order[..], &small].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    println!("{told}");
    let number = |name: &str| told[name].as_u64().unwrap();
    assert_eq!(number("samples"), 12 * 25);
    for name in ["lost", "doubled", "without_their_events", "without_entry"] {
        assert_eq!(number(name), 0, "{name}");
    }
    assert_eq!(told["trail_is_whole"], true);
    // Each sample has two entries at least, each look has one.
    assert!(number("entries") > 2 * number("samples") + number("looks"));
    assert!(number("looks") > 10);
    assert!((1..=2).contains(&number("children_at_once")));
    assert!(number("server_peak_bytes") < 128 * 1024 * 1024);
    // Nothing of it stays.
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}
