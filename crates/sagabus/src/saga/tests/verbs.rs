//! Each verb of an operator in each state of a saga that runs, with the end of the process at what it stores.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, step};
use super::operator::{Row, actions, by, table};
use super::store::{Fault, TestStore};
use crate::error::{ErrorKind, Result};
use crate::planted::SagaBug;
use crate::saga::{Action, Definition, SagaId, SagaStatus, Sagas, Status};

const HOUR: Duration = Duration::from_secs(3_600);
/// More often than a saga is opened here.
const OFTEN: usize = 9;

/// How a saga of the bed comes to where a row of the table is.
struct Way {
    /// The row.
    name: &'static str,
    /// What the handlers do.
    script: &'static [(&'static str, Act)],
    /// Tries of `b` after the first, and whether `a` is the pivot.
    step: (u32, bool),
    /// What an operator does then.
    then: Option<fn() -> Action>,
    /// Where it is.
    status: Status,
}

const REFUSED: &[(&str, Act)] = &[("b", Act::Reject)];
const HANGS: &[(&str, Act)] = &[("b", Act::Hang)];
const BUSY: &[(&str, Act)] = &[("b", Act::Retry)];
const HANGS_BACK: &[(&str, Act)] = &[("b", Act::InDoubt), ("undo_b", Act::Hang)];
const REFUSED_BACK: &[(&str, Act)] = &[("b", Act::InDoubt), ("undo_b", Act::Reject)];

#[rustfmt::skip]
fn ways() -> Vec<Way> {
    let way = |name, script, step, then: Option<fn() -> Action>, status| Way { name, script, step, then, status };
    vec![
        way("queued", &[("c", Act::Hang)], (1, false), None, Status::Queued),
        way("step in flight", HANGS, (1, false), None, Status::Executing),
        way("step waits for its next attempt", BUSY, (9, false), None, Status::Executing),
        way("paused", BUSY, (9, false), Some(|| Action::Pause), Status::Paused),
        way("behind the pivot", HANGS, (1, true), None, Status::Executing),
        way("forward stuck", REFUSED, (1, true), None, Status::ForwardStuck),
        way("compensation in flight", HANGS_BACK, (0, false), None, Status::Compensating),
        way("compensation paused", HANGS_BACK, (0, false), Some(|| Action::Pause), Status::Paused),
        way("stuck", REFUSED_BACK, (0, false), None, Status::CompensationStuck),
        way("completed", &[], (1, false), None, Status::Completed),
        way("given up", REFUSED_BACK, (0, false), Some(|| Action::Abandon), Status::Failed),
        way("given up behind the pivot", REFUSED, (1, true), Some(|| Action::Abandon), Status::Failed),
        way("terminated", HANGS, (1, false), Some(|| Action::Terminate), Status::Terminated),
    ]
}

impl Way {
    fn definition(&self) -> Definition {
        let (retries, has_pivot) = self.step;
        let first = match has_pivot {
            true => step("a").pivot(),
            false => step("a"),
        };
        let last = step("b").after("a").retries(retries).retry_delay(HOUR);
        define(vec![first, last.timeout(100 * HOUR)])
    }

    fn bed(&self) -> Bed {
        let mut bed = Bed::new();
        bed.settings.active_max = 1;
        // What is over stays to be looked at.
        bed.settings.cleanup_interval = 1_000 * HOUR;
        bed.settings.step_timeout = 100 * HOUR;
        for (action, act) in self.script {
            bed.world.script(action, &[*act; OFTEN]);
        }
        bed
    }

    /// Brings a saga to where the row is.
    async fn go(&self, sagas: &Sagas) -> SagaId {
        if self.status == Status::Queued {
            sagas.start(&chain(&["c"]), input()).await.unwrap();
        }
        let id = sagas.start(&self.definition(), input()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some(then) = self.then {
            sagas.operate(&id, then(), by()).await.unwrap();
        }
        let status = sagas.status(&id).unwrap().status;
        assert_eq!(status, self.status, "{}", self.name);
        id
    }
}

/// What was done by operators: the verbs with their steps.
fn operated(status: &SagaStatus) -> Vec<String> {
    let operated = status.operated.iter();
    let shown = operated.map(|it| format!("{} {:?} {}", it.verb.as_str(), it.step, it.by.author));
    shown.collect()
}

/// Where a saga is after a verb, or why it was refused.
fn answer(answer: Result<SagaStatus>) -> String {
    match answer {
        Ok(status) => status.status.to_string(),
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound),
                "{error}"
            );
            error.to_string()
        }
    }
}

/// Brings a saga to its end in a process whose handlers all succeed.
async fn play_out(bed: &Bed, id: &SagaId) -> SagaStatus {
    for action in ["b", "c", "undo_b"] {
        bed.world.script(action, &[]);
    }
    let sagas = bed.open().await;
    for _ in 0..100 {
        let status = sagas.status(id).unwrap();
        let action = match status.status {
            it if it.is_final() => break,
            Status::Paused => Action::Resume,
            Status::CompensationStuck | Status::ForwardStuck => Action::Retry { step: None },
            _ => {
                tokio::time::sleep(HOUR / 10).await;
                continue;
            }
        };
        sagas.operate(id, action, by()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(HOUR).await;
    let status = sagas.status(id).unwrap();
    sagas.shutdown(Duration::ZERO).await;
    status
}

/// The verb in a process without a fault: what it answers, and at which append it is stored, if it is.
async fn calm(way: &Way, action: &Action) -> (String, Option<usize>) {
    let bed = way.bed();
    let sagas = bed.open().await;
    let id = way.go(&sagas).await;
    let at = bed.disk.appends();
    let answer = answer(sagas.operate(&id, action.clone(), by()).await);
    let is_stored = operated(&sagas.status(&id).unwrap()).len() > usize::from(way.then.is_some());
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
    (answer, is_stored.then_some(at))
}

/// The same in a process that ends at that append, and what another one makes of it.
async fn cut(way: &Way, action: &Action, at: (usize, Fault), calm: &str) -> Result<(), String> {
    let bed = way.bed();
    let sagas = bed.open_on(TestStore::new(&bed.disk, Some(at))).await;
    let id = way.go(&sagas).await;
    let before = sagas.status(&id).unwrap();
    let asked = sagas.operate(&id, action.clone(), by()).await;
    if let Ok(status) = asked {
        return Err(format!("it was answered with {}", status.status));
    }
    sagas.shutdown(Duration::ZERO).await;

    let sagas = bed.open().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let status = sagas.status(&id).unwrap();
    let again = sagas.operate(&id, action.clone(), by()).await;
    match at.1 {
        // As if it had not been asked for: the saga is where it was, and asking again does it.
        Fault::Before => {
            if operated(&status) != operated(&before) || status.status != before.status {
                return Err(format!("{} after {}", status.status, before.status));
            }
            let again = answer(again);
            if again != calm {
                return Err(format!("asked again it answers {again}, not {calm}"));
            }
        }
        // It holds: it is there once, and asking again does not undo it.
        _ => {
            if operated(&status).len() != operated(&before).len() + 1 {
                return Err(format!("operators did {:?}", operated(&status)));
            }
            answer(again);
        }
    }
    sagas.shutdown(Duration::ZERO).await;
    let ended = play_out(&bed, &id).await;
    if !ended.status.is_final() {
        return Err(format!("it stays {}", ended.status));
    }
    for effect in ["a", "undo_a", "undo_b"] {
        if bed.world.count(effect) > 1 {
            return Err(format!("`{effect}` is done twice"));
        }
    }
    super::invariants::check(&bed.disk);
    Ok(())
}

fn row(name: &str) -> Row {
    let mut rows = table().into_iter();
    rows.find(|row| row.name == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_verb_in_each_state_holds_or_was_never_given_when_the_process_ends_at_what_it_stores()
{
    let mut cuts = 0;
    for way in ways() {
        for (action, expected) in actions().iter().zip(row(way.name).cells) {
            let (calm, stored) = calm(&way, action).await;
            let name = format!("{}: {action:?}: {calm}", way.name);
            // The table of the rules is that of sagas which run.
            match expected {
                "do" => assert!(stored.is_some(), "{name}"),
                "done" => assert!(stored.is_none() && !calm.contains("stays"), "{name}"),
                refusal => assert!(stored.is_none() && calm.ends_with(refusal), "{name}"),
            }
            let Some(at) = stored else {
                continue;
            };
            for fault in [Fault::Before, Fault::After] {
                let result = cut(&way, action, (at, fault), &calm).await;
                assert_eq!(result, Ok(()), "{name}, {fault:?}");
                cuts += 1;
            }
        }
    }
    // All states but the one before a step, which a saga that runs does not stay in.
    let rows = table();
    assert_eq!(ways().len() + 1, rows.len());
    let rows = rows.iter().filter(|row| row.name != "before the step");
    let verbs = rows.flat_map(|row| row.cells).filter(|it| *it == "do");
    assert_eq!(cuts, 2 * verbs.count());
}

#[tokio::test(start_paused = true)]
async fn a_verb_that_is_answered_before_it_is_stored_is_found() {
    let ways = ways();
    let way = ways.iter().find(|it| it.name == "stuck").unwrap();
    let (answer, at) = calm(way, &Action::Abandon).await;
    SagaBug::plant(Some(SagaBug::AnsweredBeforeStored));
    let at = (at.unwrap(), Fault::Before);
    let found = cut(way, &Action::Abandon, at, &answer).await;
    SagaBug::plant(None);
    assert!(found.unwrap_err().contains("it was answered with"));
}
