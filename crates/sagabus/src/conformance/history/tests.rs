//! The check of histories finds each violation that is planted, and histories of the engine have none.

use super::*;
use crate::conformance::embedded::EmbeddedCluster;
use crate::ledger::Counts;

fn published(position: u64, event_type: &str, key: &str) -> Entry {
    Entry::Published {
        id: EventId::new(format!("e{position}")).unwrap(),
        event_type: event_type.to_owned(),
        key: key.to_owned(),
        is_marked: true,
        priority: Priority::Normal,
        position,
        is_duplicate: false,
    }
}

fn token(position: u64, attempt: u32) -> LeaseToken {
    LeaseToken {
        position,
        epoch: 1,
        attempt,
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_milliseconds(ms)
}

/// In the subscription that parks.
fn leased(member: u32, position: u64, attempt: u32, ms: i64) -> Entry {
    Entry::Leased {
        subject: 1,
        member,
        token: token(position, attempt),
        silent: 0,
        at: at(ms),
    }
}

fn settled(member: u32, position: u64, attempt: u32, ended: Ended, counted: bool) -> Entry {
    Entry::Settled {
        subject: 1,
        member,
        token: token(position, attempt),
        ended,
        counted,
    }
}

fn ended(counts: Counts, dead: Vec<Letter>) -> Entry {
    Entry::Ended {
        subject: 1,
        counts,
        ahead: 0,
        dead,
    }
}

/// Three events of two keys: the first fails once, the second is handed back once and given up, the third is handled
/// after its member was killed.
fn good() -> Vec<Entry> {
    let counts = Counts {
        matched: 3,
        acked: 2,
        dead: 1,
        ..Counts::default()
    };
    vec![
        published(1, "a.x", "k"),
        published(2, "b", "l"),
        published(3, "a.y", "k"),
        leased(1, 1, 1, 10),
        settled(1, 1, 1, Ended::RetryAt(at(50)), true),
        leased(1, 2, 1, 20),
        settled(1, 2, 1, Ended::Release, true),
        leased(1, 2, 1, 30),
        settled(1, 2, 1, Ended::Dead, true),
        leased(1, 1, 2, 50),
        settled(1, 1, 2, Ended::Ack, true),
        leased(1, 3, 1, 60),
        Entry::Gone { member: 1 },
        leased(2, 3, 2, 99),
        settled(1, 3, 1, Ended::Ack, false),
        settled(2, 3, 2, Ended::Ack, true),
        Entry::Left { member: 2 },
        ended(counts, vec![(2, vec![1])]),
    ]
}

#[track_caller]
fn finds(invariant: &str, plant: impl FnOnce(&mut Vec<Entry>)) {
    let mut history = good();
    plant(&mut history);
    let found = check(&history);
    assert!(
        found.iter().any(|it| it.invariant == invariant),
        "{invariant} is not among {found:?}"
    );
}

#[test]
fn a_good_history_has_no_violation() {
    assert_eq!(check(&good()), []);
}

#[test]
fn an_event_that_is_lost_is_found() {
    finds("I1", |it| {
        it.remove(15);
    });
    finds("I1", |it| it.insert(3, published(4, "c", "m")));
    finds("I1", |it| {
        let counts = Counts::default();
        it[17] = ended(counts, vec![(2, vec![1])]);
    });
}

#[test]
fn a_delivery_after_the_end_is_found() {
    finds("I2", |it| it.insert(11, leased(1, 1, 3, 55)));
    finds("I2", |it| it.insert(9, leased(1, 2, 2, 45)));
}

#[test]
fn an_event_before_an_earlier_one_of_its_key_is_found() {
    finds("I3", |it| {
        it.insert(5, leased(1, 3, 1, 15));
        it.insert(6, settled(1, 3, 1, Ended::Ack, true));
    });
}

#[test]
fn two_leases_are_found() {
    finds("I4", |it| {
        it.remove(12);
    });
    finds("I4", |it| it.insert(4, leased(2, 3, 1, 15)));
}

#[test]
fn an_answer_that_counts_wrongly_is_found() {
    finds("I5", |it| it[14] = settled(1, 3, 1, Ended::Ack, true));
    finds("I5", |it| it[15] = settled(2, 3, 2, Ended::Ack, false));
}

#[test]
fn an_attempt_that_is_not_counted_is_found() {
    finds("I6", |it| it[9] = leased(1, 1, 1, 50));
    finds("I6", |it| it[13] = leased(2, 3, 4, 99));
}

#[test]
fn a_retry_before_its_time_is_found() {
    finds("I7", |it| it[9] = leased(1, 1, 2, 49));
}

#[test]
fn a_second_place_of_one_event_is_found() {
    let again = |position: u64, is_duplicate: bool| {
        let id = EventId::new("e1").unwrap();
        match published(position, "a.x", "k") {
            Entry::Published {
                event_type,
                key,
                is_marked,
                priority,
                ..
            } => Entry::Published {
                id,
                event_type,
                key,
                is_marked,
                priority,
                position,
                is_duplicate,
            },
            other => other,
        }
    };
    let mut history = good();
    history.insert(3, again(1, true));
    assert_eq!(check(&history), []);
    finds("I9", |it| it.insert(3, again(4, false)));
    finds("I9", |it| it.insert(3, again(2, true)));
    finds("I9", |it| it.swap(0, 1));
}

#[test]
fn a_letter_that_is_missing_doubled_or_without_its_faults_is_found() {
    let counts = Counts {
        matched: 3,
        acked: 2,
        dead: 1,
        ..Counts::default()
    };
    for dead in [
        vec![],
        vec![(2, vec![1]), (2, vec![1])],
        vec![(2, vec![])],
        vec![(2, vec![1]), (1, vec![1])],
    ] {
        finds("I10", |it| it[17] = ended(counts, dead));
    }
    finds("I10", |it| {
        let repaired = Entry::Repaired {
            subject: 1,
            position: 1,
            repaired: Repaired::Redriven,
            counted: true,
        };
        it.insert(5, repaired);
    });
}

#[test]
fn a_letter_of_another_subscription_is_found() {
    finds("I11", |it| {
        let other = Entry::Ended {
            subject: 0,
            counts: Counts::default(),
            ahead: 0,
            dead: vec![(1, vec![1])],
        };
        it.push(other);
    });
}

#[test]
fn an_event_that_nobody_wanted_is_found() {
    finds("I12", |it| {
        let other = Entry::Leased {
            subject: 0,
            member: 7,
            token: token(2, 1),
            silent: 0,
            at: at(10),
        };
        it.insert(5, other);
    });
    finds("I12", |it| it.insert(5, leased(7, 99, 1, 10)));
}

#[test]
fn work_that_was_left_behind_is_found() {
    finds("I14", |it| {
        it.remove(15);
    });
    finds("I14", |it| it[7] = leased(1, 2, 2, 30));
}

/// Publishes two events of this urgency, then `more` urgent ones, which the subscription without order gets first.
fn passing(first: Priority, more: u64) -> Vec<Entry> {
    let mut history = Vec::new();
    for position in 1..=2 + more {
        let Entry::Published {
            id,
            event_type,
            key,
            ..
        } = published(position, "a.x", "k")
        else {
            unreachable!("it is published");
        };
        history.push(Entry::Published {
            id,
            event_type,
            key,
            is_marked: true,
            priority: if position > 2 { Priority::High } else { first },
            position,
            is_duplicate: false,
        });
    }
    for position in 3..=2 + more {
        history.push(Entry::Leased {
            subject: 0,
            member: 1,
            token: token(position, 1),
            silent: 0,
            at: at(10),
        });
    }
    history
}

#[test]
fn an_event_that_is_passed_over_too_often_is_found() {
    let most = u64::from(PASSES_MAX);
    let is_found = |history: &[Entry]| check(history).iter().any(|it| it.invariant == "I8");
    assert!(!is_found(&passing(Priority::Normal, most)));
    assert!(is_found(&passing(Priority::Normal, most + 1)));
    assert!(!is_found(&passing(Priority::High, most + 1)));
    assert!(!is_found(&passing(Priority::Urgent, most + 1)));
    for (between, is_wrong) in [
        (Entry::Restarted, false),
        (Entry::GivenUp { subject: 0 }, false),
        (Entry::GivenUp { subject: 1 }, true),
    ] {
        let mut history = passing(Priority::Normal, most + 1);
        history.insert(history.len() - 1, between);
        assert_eq!(is_found(&history), is_wrong);
    }
}

#[test]
fn a_repair_that_was_not_done_or_was_done_to_no_letter_is_found() {
    let repaired = |position: u64, counted: bool| Entry::Repaired {
        subject: 1,
        position,
        repaired: Repaired::Redriven,
        counted,
    };
    finds("I10", |it| it.insert(5, repaired(1, true)));
    finds("I10", |it| it.insert(9, repaired(2, false)));
    let mut history = good();
    history.insert(5, repaired(1, false));
    assert_eq!(check(&history), []);
}

#[test]
fn an_event_that_was_dropped_while_it_was_needed_is_found() {
    let kept = |positions: &[u64], upto| Entry::Kept {
        positions: positions.to_vec(),
        upto,
    };
    let is_found = |history: &[Entry]| check(history).iter().any(|it| it.invariant == "I13");
    let mut history = vec![published(1, "b.z", "k1"), published(2, "b.z", "k2")];
    assert!(!is_found(&[&history[..], &[kept(&[1, 2], 2)]].concat()));
    assert!(is_found(&[&history[..], &[kept(&[2], 2)]].concat()));
    assert!(!is_found(&[&history[..], &[kept(&[], 0)]].concat()));
    history.push(leased(1, 1, 1, 10));
    assert!(is_found(&[&history[..], &[kept(&[2], 2)]].concat()));
    history.push(settled(1, 1, 1, Ended::Dead, true));
    assert!(is_found(&[&history[..], &[kept(&[2], 2)]].concat()));
    history.push(leased(1, 2, 1, 10));
    history.push(settled(1, 2, 1, Ended::Ack, true));
    assert!(!is_found(&[&history[..], &[kept(&[1], 2)]].concat()));
}

#[test]
fn a_suspect_in_company_is_found() {
    let suspect = |it: &mut Entry| {
        if let Entry::Leased { silent, .. } = it {
            *silent = 2;
        }
    };
    finds("R07", |it| {
        it.insert(9, leased(1, 3, 1, 40));
        suspect(&mut it[7]);
        it.swap(8, 9);
    });
    finds("R07", |it| {
        it.insert(7, leased(7, 3, 1, 25));
        suspect(&mut it[8]);
    });
}

#[test]
fn a_lease_during_a_pause_is_found() {
    finds("L05", |it| it.insert(5, Entry::Paused { subject: 1 }));
    let mut history = good();
    history.insert(5, Entry::Resumed { subject: 1 });
    history.insert(5, Entry::Paused { subject: 1 });
    history.insert(5, Entry::Paused { subject: 0 });
    assert_eq!(check(&history), []);
}

/// Runs the histories of these seeds and says how much was in them.
async fn histories(
    seeds: std::ops::Range<u64>,
    steps: usize,
    open: impl Fn() -> EmbeddedCluster,
) -> Summary {
    let mut all = Summary::default();
    for seed in seeds {
        let (history, summary) = run(&open(), seed, steps).await;
        let found = check(&history);
        let found: Vec<String> = found.iter().map(Violation::to_string).collect();
        assert!(found.is_empty(), "seed {seed}: {found:#?}");
        all.add(summary);
    }
    println!("{all:?}");
    all
}

#[tokio::test(start_paused = true)]
async fn histories_on_a_memory_disk_keep_every_invariant() {
    let all = histories(0..200, 300, EmbeddedCluster::in_paused_memory).await;
    for (what, number) in [
        ("published", all.published),
        ("duplicates", all.duplicates),
        ("repeats", all.repeats),
        ("fenced", all.fenced),
        ("gone", all.gone),
        ("repairs", all.repairs),
        ("refused", all.refused),
        ("pauses", all.pauses),
        ("suspects", all.suspects),
        ("dead", all.dead),
        ("restarts", all.restarts),
        ("dropped", all.dropped),
    ] {
        assert!(number >= 100, "{what}: {number}");
    }
}

#[tokio::test]
async fn histories_on_a_real_directory_keep_every_invariant() {
    let all = histories(0..3, 150, || EmbeddedCluster::in_directory().unwrap()).await;
    assert!(all.leases > 100 && all.restarts > 0, "{all:?}");
}
