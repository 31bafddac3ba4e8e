//! What a check finds, without a database.

use sagabus::sqlite::rusqlite::types::ValueRef;

use super::*;

fn entry(action: &str, service: &str, details: &str) -> Vec<u8> {
    let mut columns = vec![ValueRef::Null; DETAILS + 1];
    columns[SERVICE] = ValueRef::Text(service.as_bytes());
    columns[ACTION] = ValueRef::Text(action.as_bytes());
    columns[DETAILS] = ValueRef::Blob(details.as_bytes());
    leaf::bytes(columns)
}

fn plain(number: usize) -> Vec<u8> {
    entry(&format!("a{number}"), "s", "{}")
}

/// Checks entries, some of them without content.
fn check(entries: &[Vec<u8>], emptied: &[usize], states: Vec<State>) -> Verification {
    let mut checker = Checker::new(states);
    for (index, bytes) in entries.iter().enumerate() {
        let content = Some(bytes.as_slice()).filter(|_| !emptied.contains(&index));
        if let Err(fault) = checker.entry(content, merkle::leaf(bytes), |_| {}) {
            return checker.finish(Some(fault));
        }
    }
    checker.finish(None)
}

fn state(entries: &[Vec<u8>]) -> State {
    let mut frontier = Frontier::default();
    for bytes in entries {
        frontier.push(merkle::leaf(bytes), |_| {});
    }
    State {
        size: frontier.size(),
        root: frontier.root(),
    }
}

#[test]
fn a_trail_fits_the_states_that_were_signed_of_it() {
    let entries: Vec<_> = (0..9).map(plain).collect();
    let states = [0, 3, 9].map(|it| state(&entries[..it])).to_vec();
    let found = check(&entries, &[], states.clone());
    assert_eq!((found.ok, found.count, found.checkpoints), (true, 9, 3));
    let mut forked = entries.clone();
    forked[5] = plain(100);
    let found = check(&forked, &[], states.clone());
    assert_eq!(found.first_bad_sequence, Some(4), "{found}");
    let found = check(&entries[..7], &[], states);
    assert_eq!(found.first_bad_sequence, Some(8), "{found}");
    assert!(check(&[], &[], vec![state(&[])]).ok);
    assert_eq!(
        check(&[], &[], vec![state(&entries)]).first_bad_sequence,
        Some(1)
    );
}

#[test]
fn an_entry_may_be_empty_only_where_a_later_one_says_so() {
    let says = |details: &str| entry(RETENTION.0, RETENTION.1, details);
    let mut entries: Vec<_> = (0..6).map(plain).collect();
    assert_eq!(check(&entries, &[2], vec![]).first_bad_sequence, Some(3));
    entries.push(says(r#"{"ranges":[[5,5],[1,3]]}"#));
    for (emptied, expected) in [
        (&[0, 1, 2, 4][..], None),
        (&[1], None),
        (&[3], Some(4)),
        (&[0, 1, 2, 3, 4], Some(4)),
        (&[5], Some(6)),
        // What says so is gone with the rest.
        (&[1, 6], Some(2)),
    ] {
        let found = check(&entries, emptied, vec![]);
        assert_eq!(found.first_bad_sequence, expected, "{emptied:?}");
    }
    for other in [
        says(r#"{"ranges":[[8,8]]}"#),
        says(r#"{"ranges":[[1,9]]}"#),
        says("{}"),
        entry(RETENTION.0, "other-service", r#"{"ranges":[[2,2]]}"#),
        entry("other.action", RETENTION.1, r#"{"ranges":[[2,2]]}"#),
    ] {
        let entries = [plain(0), plain(1), other, plain(3)];
        assert_eq!(check(&entries, &[1], vec![]).first_bad_sequence, Some(2));
    }
}
