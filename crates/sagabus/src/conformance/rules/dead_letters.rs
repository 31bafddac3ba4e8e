//! What was given up is kept, looked into and repaired, for one subscription at a time.

use crate::bus::{Bus, Disposition, HandlerError, RetryPlan};
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, bus, counts, event, eventually, failing, handled, idle, letters, plain, publish,
    publish_keys, rejecting, spec, view, wait, within,
};
use crate::error::ErrorKind;
use crate::ledger::{By, Exhausted, Fault, Order, RepairAct};
use crate::pattern::Pattern;
use crate::retry::Retry;
use crate::settings::Settings;
use crate::transport::{DeadLetterQuery, Repair, RepairQuery, Settle, Verdict};

/// Gives up `count` events in the subscription `s`, whose handler takes them after that.
async fn given_up(cluster: &dyn Cluster, bus: &Bus, count: usize) -> (Seen, Vec<u64>) {
    let seen = Seen::new(cluster);
    let builder = plain(cluster, bus, "s").retry(Retry::never());
    seen.on(builder, |delivery| {
        if delivery.redrives == 0 {
            return Err(HandlerError::permanent("not at first"));
        }
        Ok(())
    })
    .await;
    let published = publish(cluster, bus, count).await;
    idle(bus, "s").await;
    assert_eq!(counts(bus, "s").dead, count as u64);
    (seen, published)
}

/// D01 MUST: a hundred thousand dead letters are listed page by page, in order, each once.
pub async fn dead_letters_are_listed_page_by_page(cluster: &dyn Cluster) {
    const LETTERS: usize = 100_000;
    let bus = bus(cluster).await;
    let published = publish(cluster, &bus, LETTERS).await;
    let member = cluster.join(spec(cluster, "one")).await.unwrap();
    let mut given_up = 0;
    while given_up < LETTERS {
        let leased = within("events", member.lease(1000)).await.unwrap();
        given_up += leased.len();
        let now = cluster.clock().now();
        let dead = || Verdict::Dead(Box::new(Fault::new(1, now, 0, "error", "asked to fail")));
        let settles = leased.iter().map(|it| Settle::new(it.token, dead()));
        member.settle(settles.collect()).await.unwrap();
    }
    let mut listed = Vec::with_capacity(LETTERS);
    let mut query = DeadLetterQuery {
        max: 700,
        ..DeadLetterQuery::of("s")
    };
    loop {
        let page = bus.ledgers().dead_letters(&query).await.unwrap();
        assert!(page.letters.len() <= 700);
        listed.extend(page.letters.iter().map(|it| it.position));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert!(listed == published, "{} are listed", listed.len());
    assert_eq!(counts(&bus, "s").dead, LETTERS as u64);
    let unknown = DeadLetterQuery {
        subscription: Some("nobody".to_owned()),
        ..DeadLetterQuery::default()
    };
    let error = bus.dead_letters(unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// D02 SHOULD: dead letters are found by type, by error, by time and by key, and by all of them together.
pub async fn letters_are_found_by_type_error_time_and_key(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").retry(Retry::never());
    let builder = builder.order(Order::PerKey).exhausted(Exhausted::SkipAhead);
    seen.on(builder, |delivery| {
        let text = format!(
            "cannot take {}",
            String::from_utf8_lossy(&delivery.event.data)
        );
        Err(match delivery.event.subject.as_deref() {
            Some("k1") => HandlerError::new(Disposition::Reject, "Busy", text),
            _ => HandlerError::transient(text),
        })
    })
    .await;
    let mut positions = Vec::new();
    let mut middle = cluster.clock().now();
    for (number, (event_type, key)) in [("a.x", "k1"), ("a.y", "k2"), ("b.x", "k1"), ("b.x", "k2")]
        .into_iter()
        .enumerate()
    {
        if number == 2 {
            idle(&bus, "s").await;
            wait(cluster, 2).await;
            middle = cluster.clock().now();
            wait(cluster, 2).await;
        }
        let event = event(cluster, event_type, &number.to_string()).about(key);
        positions.push(bus.publish(event).await.unwrap().position);
    }
    idle(&bus, "s").await;
    let of = || DeadLetterQuery::of("s");
    let text = |text: &str| Some(text.to_owned());
    for (what, query, expected) in [
        (
            "type",
            DeadLetterQuery {
                pattern: Some(Pattern::new("b.*").unwrap()),
                ..of()
            },
            &[2, 3][..],
        ),
        (
            "kind",
            DeadLetterQuery {
                kind: text("rejected"),
                ..of()
            },
            &[0, 2],
        ),
        (
            "type of error",
            DeadLetterQuery {
                error_type: text("Busy"),
                ..of()
            },
            &[0, 2],
        ),
        (
            "error",
            DeadLetterQuery {
                error: text("take 3"),
                ..of()
            },
            &[3],
        ),
        ("key", DeadLetterQuery::key("s", "k2"), &[1, 3]),
        (
            "time from",
            DeadLetterQuery {
                dead_from: Some(middle),
                ..of()
            },
            &[2, 3],
        ),
        (
            "time before",
            DeadLetterQuery {
                dead_before: Some(middle),
                ..of()
            },
            &[0, 1],
        ),
        (
            "all together",
            DeadLetterQuery {
                pattern: Some(Pattern::new("b.x").unwrap()),
                kind: text("rejected"),
                dead_from: Some(middle),
                ..DeadLetterQuery::key("s", "k1")
            },
            &[2],
        ),
        (
            "nothing",
            DeadLetterQuery {
                pattern: Some(Pattern::new("c").unwrap()),
                ..of()
            },
            &[],
        ),
    ] {
        let expected: Vec<u64> = expected.iter().map(|it| positions[*it]).collect();
        let found = bus.dead_letters(query.clone()).await.unwrap();
        let found: Vec<u64> = found.iter().map(|it| it.position).collect();
        assert_eq!(found, expected, "by {what}");
        let count = bus.letters().count(&query).await.unwrap();
        assert_eq!(count, expected.len() as u64, "by {what}");
    }
}

/// D03 MUST: a redrive reaches the subscription that failed and no other, and the letter is gone when it is handled.
pub async fn a_redrive_reaches_only_the_subscription_that_failed(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let others = [Seen::new(cluster), Seen::new(cluster)];
    others[0].on(plain(cluster, &bus, "good"), handled).await;
    let builder = plain(cluster, &bus, "bad").retry(Retry::never());
    others[1].on(builder, rejecting).await;
    let (seen, published) = given_up(cluster, &bus, 3).await;
    idle(&bus, "bad").await;
    let one = [published[1]];
    assert_eq!(bus.ledgers().redrive("s", &one).await.unwrap(), 1);
    eventually("it is handled", || counts(&bus, "s").acked == 1).await;
    assert_eq!(seen.positions().last(), Some(&published[1]));
    assert_eq!((others[0].len(), others[1].len()), (3, 3));
    assert_eq!(counts(&bus, "bad").dead, 3);
    let left: Vec<u64> = letters(&bus, "s")
        .await
        .iter()
        .map(|it| it.position)
        .collect();
    assert_eq!(left, [published[0], published[2]]);
    assert_eq!(bus.stats().total_events, 3, "nothing is published again");
}

/// D04 SHOULD: many are redriven at the pace that was asked for, in their order.
pub async fn many_are_redriven_at_the_pace_that_was_asked_for(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (seen, published) = given_up(cluster, &bus, 6).await;
    let spacing = cluster.unit() * 2;
    let repair = Repair::Redrive {
        delay: std::time::Duration::ZERO,
        spacing,
        by: By::new("ann", "the server is back"),
    };
    let since = cluster.clock().elapsed();
    let repaired = bus.ledgers().repair("s", &published, repair).await;
    assert_eq!(repaired.unwrap(), 6);
    idle(&bus, "s").await;
    let calls = seen.all().split_off(6);
    for (number, call) in (0_u32..).zip(&calls) {
        assert_eq!(call.position, published[number as usize]);
        let after = call.elapsed.saturating_sub(since);
        let due = spacing * number;
        assert!(
            after + std::time::Duration::from_millis(2) >= due,
            "{number}: {after:?}"
        );
        assert!(after <= due + cluster.lateness(), "{number}: {after:?}");
    }
    assert_eq!(calls.len(), 6);
}

/// D05 MUST: a trial run of a repair says what it would do, and does nothing.
pub async fn a_trial_run_changes_nothing(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (seen, _) = given_up(cluster, &bus, 5).await;
    let before = (letters(&bus, "s").await, view(&bus, "s"));
    let query = DeadLetterQuery {
        max: 3,
        ..DeadLetterQuery::of("s")
    };
    let mut plan = RetryPlan {
        is_dry_run: true,
        ..RetryPlan::default()
    };
    let told = bus.letters().retry(&query, &plan).await.unwrap();
    assert_eq!(told.count, 3);
    wait(cluster, 5).await;
    assert_eq!((letters(&bus, "s").await, view(&bus, "s")), before);
    assert_eq!(seen.len(), 5);
    plan.is_dry_run = false;
    let done = bus.letters().retry(&query, &plan).await.unwrap();
    assert_eq!(done.count, told.count);
    idle(&bus, "s").await;
    assert_eq!((seen.len(), counts(&bus, "s").dead), (8, 2));
}

/// D06 MUST: another payload is delivered, the one published stays, and every revision says who made it and why.
pub async fn a_revised_payload_keeps_the_original_and_says_who_and_why(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (seen, published) = given_up(cluster, &bus, 1).await;
    for (number, data) in [(1, "\"once\""), (2, "\"twice\"")] {
        let repair = Repair::Revise {
            data: data.into(),
            by: By::new("ann", &format!("reason {number}")),
        };
        let repaired = bus.ledgers().repair("s", &published, repair).await;
        assert_eq!(repaired.unwrap(), 1);
    }
    let letter = letters(&bus, "s").await.remove(0);
    assert_eq!(letter.event.data, "0", "what was published");
    let revisions: Vec<_> = letter
        .revisions
        .iter()
        .map(|it| (it.number, it.by.author.as_str(), it.by.reason.as_str()))
        .collect();
    assert_eq!(revisions, [(1, "ann", "reason 1"), (2, "ann", "reason 2")]);
    let bad = Repair::Revise {
        data: "no JSON".into(),
        by: By::default(),
    };
    let error = bus
        .ledgers()
        .repair("s", &published, bad)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    bus.ledgers().redrive("s", &published).await.unwrap();
    idle(&bus, "s").await;
    let last = seen.all().pop().unwrap();
    assert_eq!((last.data().as_str(), last.revision), ("\"twice\"", 2));
    let stored = bus.read(published[0], 1).await.unwrap().events;
    assert_eq!(stored[0].1.data, "0", "the log is as it was");
}

/// D07 MUST: a dead letter that is thrown away is counted, never delivered again, and gone after a crash too.
pub async fn a_discarded_letter_is_gone_for_good(cluster: &dyn Cluster) {
    let first = bus(cluster).await;
    let (seen, published) = given_up(cluster, &first, 3).await;
    let two = &published[..2];
    let discarded = first.ledgers().discard("s", two, "test data").await;
    assert_eq!(discarded.unwrap(), 2);
    let again = first.ledgers().discard("s", two, "test data").await;
    assert_eq!(again.unwrap(), 0);
    assert_eq!(first.ledgers().redrive("s", two).await.unwrap(), 0);
    cluster.crash().await;
    let second = bus(cluster).await;
    let counts = counts(&second, "s");
    assert_eq!((counts.discarded, counts.dead, counts.matched), (2, 1, 3));
    assert_eq!(letters(&second, "s").await[0].position, published[2]);
    assert_eq!(seen.len(), 3);
}

/// D08 MUST: a redrive gives attempts anew, and says how often that happened; earlier faults are kept.
pub async fn a_redrive_begins_anew_and_is_counted(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), |delivery| {
        if delivery.redrives < 2 {
            return Err(HandlerError::transient("not yet"));
        }
        Ok(())
    })
    .await;
    let published = publish(cluster, &bus, 1).await;
    for round in 0..2 {
        idle(&bus, "s").await;
        let letter = letters(&bus, "s").await.remove(0);
        assert_eq!((letter.redrives, letter.attempts), (round, 3));
        assert_eq!(letter.faults.len(), 3 * (round as usize + 1));
        assert!(
            letter.faults[3 * round as usize..]
                .iter()
                .all(|it| it.redrives == round)
        );
        assert_eq!(bus.ledgers().redrive("s", &published).await.unwrap(), 1);
    }
    idle(&bus, "s").await;
    let attempts: Vec<_> = seen
        .all()
        .iter()
        .map(|it| (it.redrives, it.attempt))
        .collect();
    let expected = [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1)];
    assert_eq!(attempts, expected);
}

/// D09 MUST: of several redrives of one letter at a time one is done.
pub async fn redrives_of_one_letter_at_a_time_are_one(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (seen, published) = given_up(cluster, &bus, 1).await;
    let mut redrives = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (bus, position) = (bus.clone(), published[0]);
        redrives.spawn(async move { bus.ledgers().redrive("s", &[position]).await.unwrap() });
    }
    let done: usize = redrives.join_all().await.into_iter().sum();
    assert_eq!(done, 1);
    idle(&bus, "s").await;
    assert_eq!(seen.len(), 2);
    assert_eq!(counts(&bus, "s").acked, 1);
}

/// D10 MUST: what is redriven while its subscription is paused waits for the end of the pause.
pub async fn a_redrive_waits_for_the_end_of_a_pause(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (seen, published) = given_up(cluster, &bus, 2).await;
    let by = By::new("ann", "maintenance");
    let pause = crate::transport::PauseUntil::Resumed;
    bus.ledgers()
        .set_pause("s", Some(pause), by.clone())
        .await
        .unwrap();
    assert_eq!(bus.ledgers().redrive("s", &published).await.unwrap(), 2);
    wait(cluster, 10).await;
    assert_eq!(seen.len(), 2);
    assert_eq!(view(&bus, "s").pause.map(|it| it.by), Some(by.clone()));
    bus.ledgers().set_pause("s", None, by).await.unwrap();
    idle(&bus, "s").await;
    assert_eq!(counts(&bus, "s").acked, 2);
}

/// D11 SHOULD: more dead letters than the setting allows show in health, until there are fewer.
pub async fn too_many_dead_letters_show_in_health(cluster: &dyn Cluster) {
    let settings = Settings {
        dead_letter_threshold: 5,
        ..Settings::default()
    };
    let builder = Bus::builder(cluster.transport().await, cluster.clock());
    let bus = builder.settings(settings).build().unwrap();
    let (_, published) = given_up(cluster, &bus, 4).await;
    // What the handler's errors say is told beside it.
    let says = |bus: &Bus| {
        let issues = bus.health().issues;
        issues.iter().any(|it| it.contains("dead letters"))
    };
    assert!(!says(&bus), "{:?}", bus.health());
    let more = publish(cluster, &bus, 4).await;
    idle(&bus, "s").await;
    assert!(says(&bus), "{:?}", bus.health());
    for positions in [published, more] {
        bus.ledgers().redrive("s", &positions).await.unwrap();
    }
    idle(&bus, "s").await;
    assert!(!says(&bus), "{:?}", bus.health());
}

/// D12 SHOULD: dead letters that are written out and thrown away come back with their whole history, over a crash too.
pub async fn letters_that_are_written_out_come_back_with_their_history(cluster: &dyn Cluster) {
    let first = bus(cluster).await;
    let by = By::new("ann", "moved");
    let seen = Seen::new(cluster);
    let parking = |bus: &Bus| plain(cluster, bus, "s").order(Order::PerKey);
    seen.on(parking(&first), failing).await;
    let published = publish_keys(cluster, &first, &["k1", "k2", "k1"]).await;
    idle(&first, "s").await;
    let revise = Repair::Revise {
        data: "\"mended\"".into(),
        by: by.clone(),
    };
    let one = [published[0]];
    first.ledgers().repair("s", &one, revise).await.unwrap();
    first.ledgers().redrive("s", &one).await.unwrap();
    idle(&first, "s").await;
    let before = letters(&first, "s").await;
    assert_eq!((before.len(), before[0].parked), (2, 1));
    assert_eq!((before[0].faults.len(), before[0].redrives), (6, 1));
    let mut lines = Vec::new();
    let mut export = first.letters().export(DeadLetterQuery::of("s"));
    while let Some(page) = export.next().await.unwrap() {
        lines.extend(page);
    }
    // The one that waits behind is handled when it may go on.
    let query = DeadLetterQuery::of("s");
    assert_eq!(first.letters().discard(&query, &by).await.unwrap(), 2);
    idle(&first, "s").await;
    let third = letters(&first, "s").await;
    assert_eq!((third.len(), third[0].position), (1, published[2]));

    let imported = first.letters().import(&lines[..], &by).await.unwrap();
    assert_eq!((imported.restored, imported.left), (2, 0));
    let imported = first.letters().import(&lines[..], &by).await.unwrap();
    assert_eq!((imported.restored, imported.left), (0, 2));
    let last = first.ledgers().repairs("s", &RepairQuery::default());
    let last = &last.unwrap()[0];
    assert_eq!((last.act, &last.by), (RepairAct::Restored, &by));
    assert_eq!(last.positions, published[..2]);
    cluster.crash().await;
    let second = bus(cluster).await;
    seen.on(parking(&second), handled).await;
    let mut after = letters(&second, "s").await;
    assert_eq!(after.pop().map(|it| it.position), Some(published[2]));
    // Nothing waits behind it now.
    let mut expected = before;
    expected[0].parked = 0;
    assert_eq!(after, expected);
    let calls = seen.len();
    second.ledgers().redrive("s", &published).await.unwrap();
    idle(&second, "s").await;
    let again = seen.all().split_off(calls);
    let mended = again.iter().find(|it| it.position == published[0]).unwrap();
    assert_eq!((mended.data().as_str(), mended.redrives), ("\"mended\"", 2));
    let of_key: Vec<u64> = again
        .iter()
        .filter(|it| it.key() == "k1")
        .map(|it| it.position)
        .collect();
    assert_eq!(
        of_key,
        [published[0], published[2]],
        "in the order of its key"
    );
    let counts = counts(&second, "s");
    assert_eq!((counts.acked, counts.discarded, counts.dead), (3, 2, 0));

    let elsewhere = String::from_utf8(lines).unwrap();
    let elsewhere = elsewhere.replace(
        &format!("\"position\":{}", published[0]),
        "\"position\":4000",
    );
    let error = second.letters().import(elsewhere.as_bytes(), &by).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Conflict);
}
