//! Finding sagas by name, state, attributes and time.

use std::time::Duration;

use super::bed::{Act, Bed, chain, input, settled, step};
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::saga::{ATTRIBUTES_MAX, Definition, Page, Query, SagaId, Sagas, Start, Status};

fn ids(page: &Page) -> Vec<SagaId> {
    page.sagas.iter().map(|saga| saga.id.clone()).collect()
}

fn found(sagas: &Sagas, query: &Query) -> Vec<SagaId> {
    let page = sagas.search(query).unwrap();
    assert_eq!(page.next, None);
    ids(&page)
}

fn of(sample: &str) -> Start {
    input()
        .attribute("sampleId", sample)
        .attribute("kind", "dna")
}

#[tokio::test(start_paused = true)]
async fn sagas_are_found_by_name_state_attributes_and_time_also_after_a_restart() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("c", &[Act::Hang, Act::Hang]);
    let other = Definition::from_steps("other", vec![step("c")]).unwrap();
    let sagas = bed.open().await;
    let done = sagas.start(&chain(&["a"]), of("S-1")).await.unwrap();
    settled(&sagas, &done).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let noon = bed.clock.now();
    let back = sagas.start(&chain(&["a", "b"]), of("S-1")).await.unwrap();
    settled(&sagas, &back).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let open = sagas.start(&other, of("S-2")).await.unwrap();
    for turn in 0..2 {
        let sagas = match turn {
            0 => sagas.clone(),
            _ => {
                sagas.shutdown(Duration::ZERO).await;
                bed.open().await
            }
        };
        let query = Query::default();
        let all = [open.clone(), back.clone(), done.clone()];
        assert_eq!(found(&sagas, &query), all, "the last start first");
        let named = Query {
            name: Some("chain".to_owned()),
            ..Query::default()
        };
        assert_eq!(found(&sagas, &named), all[1..]);
        let ended = Query {
            status: vec![Status::Completed, Status::Compensated],
            ..Query::default()
        };
        assert_eq!(found(&sagas, &ended), all[1..]);
        let with = |attributes: &[(&str, &str)]| Query {
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Query::default()
        };
        assert_eq!(found(&sagas, &with(&[("sampleId", "S-1")])), all[1..]);
        let both = with(&[("sampleId", "S-2"), ("kind", "dna")]);
        assert_eq!(found(&sagas, &both), all[..1]);
        let neither = with(&[("sampleId", "S-2"), ("kind", "rna")]);
        assert_eq!(found(&sagas, &neither), []);
        let from = Query {
            started_from: Some(noon),
            ..Query::default()
        };
        assert_eq!(found(&sagas, &from), all[..2]);
        let before = Query {
            started_before: Some(noon),
            ..Query::default()
        };
        assert_eq!(found(&sagas, &before), all[2..]);
        let status = sagas.status(&open).unwrap();
        assert_eq!(status.attributes["sampleId"], "S-2");
        if turn == 1 {
            sagas.shutdown(Duration::ZERO).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pages_have_each_saga_once_while_others_are_started() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let mut started = Vec::new();
    for _ in 0..25 {
        started.push(sagas.start(&chain(&["a"]), input()).await.unwrap());
    }
    let mut query = Query {
        limit: 10,
        ..Query::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = sagas.search(&query).unwrap();
        assert!(page.sagas.len() <= 10);
        seen.extend(ids(&page));
        // It comes first, before what was seen.
        tokio::time::sleep(Duration::from_millis(1)).await;
        sagas.start(&chain(&["a"]), input()).await.unwrap();
        let Some(next) = page.next else {
            break;
        };
        query.after = Some(next.to_string().parse().unwrap());
        assert_eq!(query.after, Some(next));
    }
    let (mut all, mut once) = (seen.clone(), started);
    all.sort();
    once.sort();
    assert_eq!(all, once);
    let times: Vec<_> = seen
        .iter()
        .map(|id| (sagas.status(id).unwrap().started_at, id.clone()))
        .collect();
    assert!(times.is_sorted_by(|one, other| one > other));
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_and_what_is_attached_has_a_bound() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let invalid = |query: Query| sagas.search(&query).unwrap_err().kind();
    for limit in [0, 1_001] {
        let query = Query {
            limit,
            ..Query::default()
        };
        assert_eq!(invalid(query), ErrorKind::Invalid);
    }
    let pair = ("k".to_owned(), "v".to_owned());
    let many = Query {
        attributes: vec![pair; ATTRIBUTES_MAX + 1],
        ..Query::default()
    };
    assert_eq!(invalid(many), ErrorKind::Invalid);
    for text in ["", "1", "_", "x_y", "1_", "1_ä", "99999999999999999999_a"] {
        assert!(text.parse::<crate::saga::Cursor>().is_err(), "{text}");
    }
    let numbered =
        |count: usize| (0..count).fold(input(), |start, at| start.attribute(format!("k{at}"), "v"));
    sagas
        .start(&chain(&["a"]), numbered(ATTRIBUTES_MAX))
        .await
        .unwrap();
    for wrong in [
        numbered(ATTRIBUTES_MAX + 1),
        input().attribute("", "v"),
        input().attribute("a b", "v"),
        input().attribute("n".repeat(65), "v"),
        input().attribute("k", ""),
        input().attribute("k", "v".repeat(256)),
        input().attribute("k", "v\u{202e}"),
        input().attribute("k", "v").attribute("k", "w"),
    ] {
        let refused = sagas.start(&chain(&["a"]), wrong).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(bed.disk.stored().len(), 1);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_of_long_sagas_ends_before_it_is_too_large_and_names_the_next() {
    let bed = Bed::new();
    let waits = crate::saga::Step::new("w").signal("go");
    let steps = (1..1_000).map(|it| {
        crate::saga::Step::new(format!("s{it}"))
            .service("svc")
            .action("a")
            .after("w")
    });
    let steps = std::iter::once(waits).chain(steps).collect();
    let definition = Definition::from_steps("long", steps).unwrap();
    let sagas = bed.open().await;
    for _ in 0..8 {
        sagas.start(&definition, input()).await.unwrap();
    }
    let first = sagas.search(&Query::default()).unwrap();
    assert_eq!(first.sagas.len(), 6);
    let rest = Query {
        after: first.next.clone(),
        ..Query::default()
    };
    let rest = sagas.search(&rest).unwrap();
    assert_eq!((rest.sagas.len(), rest.next.is_none()), (2, true));
    assert!(ids(&rest).iter().all(|id| !ids(&first).contains(id)));
    sagas.shutdown(Duration::ZERO).await;
}
