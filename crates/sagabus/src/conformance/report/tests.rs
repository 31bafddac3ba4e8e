//! The report knows every case of the contract, and says of a rule that fails that it does.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::conformance::embedded::EmbeddedCluster;
use crate::conformance::{Level, Running};

#[test]
fn every_case_of_the_contract_is_shown_or_said_to_be_missing() {
    let rules: BTreeSet<&str> = all().iter().map(|it| it.id).collect();
    let shown: BTreeSet<&str> = ELSEWHERE.iter().map(|it| it.0).chain(rules).collect();
    let later: BTreeSet<&str> = LATER.iter().map(|it| it.0).collect();
    assert_eq!(shown.intersection(&later).count(), 0);
    assert!(NARROWER.iter().all(|it| shown.contains(it.0)));
    let mut families: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for id in shown.union(&later) {
        families.entry(&id[..1]).or_default().push(&id[1..]);
    }
    let counts = [
        ("B", 10),
        ("D", 12),
        ("F", 7),
        ("G", 10),
        ("L", 8),
        ("M", 7),
        ("O", 9),
        ("P", 6),
        ("R", 11),
        ("S", 6),
        ("T", 9),
        ("W", 7),
        ("X", 7),
        ("Y", 4),
        ("Z", 1),
    ];
    for (family, count) in counts {
        let numbers: Vec<String> = (1..=count).map(|it| format!("{it:02}")).collect();
        assert_eq!(families.remove(family).unwrap(), numbers, "{family}");
    }
    assert!(families.is_empty(), "{families:?}");
}

fn holds(_: &dyn Cluster) -> Running<'_> {
    Box::pin(async {})
}

fn fails(_: &dyn Cluster) -> Running<'_> {
    Box::pin(async { panic!("planted") })
}

#[test]
fn a_rule_that_fails_is_told_as_such() {
    let open: Open = || Box::new(EmbeddedCluster::in_memory());
    let rule = |name, run| Rule {
        group: "a_group",
        id: "B01",
        level: Level::Must,
        name,
        run,
    };
    let rules = [rule("what_holds", holds), rule("what_fails", fails)];
    let shown = rules.map(|rule| {
        std::thread::spawn(move || shows(open, &rule))
            .join()
            .is_ok()
    });
    let engines = [Engine {
        name: "memory",
        open,
    }];
    let page = write(&rules, &engines, &[shown.to_vec()], "here");
    assert!(page.contains("## a group\n"), "{page}");
    assert!(page.contains("| B01 | MUST | what holds | yes |"), "{page}");
    assert!(
        page.contains("| B01 | MUST | what fails | **no** |"),
        "{page}"
    );
    assert!(page.contains("| Y03 | "), "{page}");
}
