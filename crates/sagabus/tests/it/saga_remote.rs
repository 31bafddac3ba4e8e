//! Steps in other services: asked for by an event and answered by one.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sagabus::engines::embedded::disk::MemoryDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::event::trace::{TRACEPARENT, TraceContext};
use sagabus::saga::remote::{ReplyStatus, StepProgressed, StepReplied, StepRequested};
use sagabus::saga::{
    CompensationContext, Definition, Handlers, Output, SagaId, SagaStatus, Status, Step,
    StepContext, StepError, StepPhase, TurnedBackBy,
};
use sagabus::saga_store::SagaStore;
use sagabus::{Bus, Clock, ErrorKind, Event, EventType, Sagas, Start, saga};
use serde_json::{Value, json};

use crate::support::{Notes, clock, event, idle};

const SECOND: Duration = Duration::from_secs(1);

/// An orchestrator and the bus that it shares with the services, on a disk that stays.
struct Process {
    engine: Arc<Embedded>,
    bus: Bus,
    sagas: Sagas,
    clock: Arc<dyn Clock>,
}

impl Process {
    async fn open(disk: &MemoryDisk, clock: &Arc<dyn Clock>, handlers: Handlers) -> Self {
        let clock = Arc::clone(clock);
        let disk = Arc::new(disk.clone());
        let engine = Embedded::on(disk, &Settings::default(), Arc::clone(&clock)).unwrap();
        let engine = Arc::new(engine);
        let bus = Bus::builder(Arc::clone(&engine) as _, Arc::clone(&clock));
        let bus = bus.build().unwrap();
        let sagas = Sagas::builder(Arc::clone(&engine) as _, Arc::clone(&clock)).handlers(handlers);
        let sagas = sagas.open().await.unwrap();
        drop(sagas.take_replies(&bus).await.unwrap());
        Self {
            engine,
            bus,
            sagas,
            clock,
        }
    }

    async fn start(&self, definition: &Definition) -> SagaId {
        let start = saga::Start::new(r#"{"sampleId":"S-1"}"#).correlated("work-7");
        self.sagas.start(definition, start).await.unwrap()
    }

    async fn close(self) {
        self.sagas.shutdown(Duration::from_secs(5)).await;
        self.bus.shutdown(Duration::from_secs(5)).await;
    }

    async fn events(&self, event_type: &str) -> Vec<Arc<Event>> {
        let page = self.bus.read(1, 1_000).await.unwrap();
        let events = page.events.into_iter().map(|(_, event)| event);
        events
            .filter(|event| event.event_type == EventType::new(event_type).unwrap())
            .collect()
    }

    /// The request of an attempt, once it is there.
    async fn request(&self, number: usize) -> StepRequested {
        loop {
            let requests = self.events("saga.step_requested").await;
            if let Some(event) = requests.get(number) {
                return event.payload().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Publishes a sign of life by hand, as a service would.
    async fn progress(&self, request: &StepRequested, change: impl FnOnce(&mut StepProgressed)) {
        let mut sign = StepProgressed {
            saga_id: request.saga_id.clone(),
            step_id: request.step_id.clone(),
            service: request.service.clone(),
            attempt: request.attempt,
            fence: request.fence,
        };
        change(&mut sign);
        let event = Event::new(&sign, self.clock.as_ref()).unwrap();
        self.bus.publish(event).await.unwrap();
        idle(&self.bus).await;
    }

    /// How many records there are of sagas that are not over.
    async fn records(&self) -> usize {
        let sagas = self.engine.load().await.unwrap();
        sagas.iter().map(|saga| saga.records.len()).sum()
    }

    /// Publishes a reply by hand, as a service would.
    async fn reply(&self, request: &StepRequested, change: impl FnOnce(&mut StepReplied)) {
        let mut reply = StepReplied {
            saga_id: request.saga_id.clone(),
            step_id: request.step_id.clone(),
            service: request.service.clone(),
            attempt: request.attempt,
            fence: request.fence,
            is_compensation: request.compensation.is_some(),
            status: ReplyStatus::Succeeded,
            output: serde_json::from_str("{\"n\":1}").unwrap(),
            error: None,
        };
        change(&mut reply);
        let event = Event::new(&reply, self.clock.as_ref()).unwrap();
        self.bus.publish(event).await.unwrap();
        idle(&self.bus).await;
    }
}

/// `check` here, then `read` in the ai service, which takes back itself, then `note` here.
fn definition() -> Definition {
    let read = Step::new("read").service("ai").after("check");
    let steps = vec![
        Step::new("check").service("lab").compensated_by("uncheck"),
        read.compensated_by("forget").data(json!({"pages": 3})),
        Step::new("note").service("lab").after("read"),
    ];
    Definition::from_steps("reading", steps).unwrap()
}

/// One step in the ai service.
fn alone(step: Step) -> Definition {
    Definition::from_steps("alone", vec![step.service("ai")]).unwrap()
}

/// What is done in the process of the orchestrator.
fn local(notes: &Notes) -> Handlers {
    let (checked, unchecked, noted) = (notes.clone(), notes.clone(), notes.clone());
    Handlers::new()
        .elsewhere("ai")
        .handle("lab", "check", move |_: StepContext| {
            checked.add("check");
            std::future::ready(Ok::<Value, StepError>(json!({"ok": true})))
        })
        .compensate("lab", "uncheck", move |_: CompensationContext| {
            unchecked.add("uncheck");
            std::future::ready(Ok(()))
        })
        .handle("lab", "note", move |context: StepContext| {
            let read = context.output("read").cloned().unwrap_or_default();
            noted.add(format!("note {}", String::from_utf8_lossy(&read)));
            std::future::ready(Ok::<(), StepError>(()))
        })
}

/// The ai service, whose step ends as `result` says.
fn service(notes: &Notes, result: Result<Value, StepError>) -> Handlers {
    let (read, forgot) = (notes.clone(), notes.clone());
    let read_handler = move |context: StepContext| {
        let given = [
            context.key(),
            context.attempt().to_string(),
            String::from_utf8_lossy(context.input()).into_owned(),
            String::from_utf8_lossy(context.output("check").unwrap()).into_owned(),
            context.data().unwrap().to_string(),
            context.correlation_id().to_owned(),
            context.saga_name().to_owned(),
        ];
        read.add(format!("read {}", given.join(" ")));
        assert!(context.fence() > 0 && context.causation_id().is_some());
        assert!(context.deadline() > context.clock().now());
        std::future::ready(result.clone())
    };
    let forget = move |context: CompensationContext| {
        let output = context.step_output().cloned().unwrap_or_default();
        let output = String::from_utf8_lossy(&output).into_owned();
        let cause = context.cause();
        forgot.add(format!("forget {} {output} {cause:?}", context.key()));
        std::future::ready(Ok(()))
    };
    let handlers = Handlers::new().handle("ai", "read", read_handler);
    handlers.compensate("ai", "forget", forget)
}

fn phases(status: &SagaStatus) -> Vec<StepPhase> {
    status.steps.iter().map(|step| step.phase).collect()
}

#[tokio::test(start_paused = true)]
async fn a_step_of_another_service_is_asked_for_and_answered_once() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let read = service(&notes, Ok(json!({"name": "K. Ito"})));
    let served = read.serve(&process.bus, "ai").await.unwrap();
    let id = process.start(&definition()).await;
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed, "{status:?}");
    let given = format!(
        "read {id}/read 1 {{\"sampleId\":\"S-1\"}} {{\"ok\":true}} {{\"pages\":3}} work-7 reading"
    );
    assert_eq!(notes.all(), ["check", &given, "note {\"name\":\"K. Ito\"}"]);
    let request = &process.events("saga.step_requested").await[0];
    let started = process.events("saga.step_started").await;
    assert_eq!(request.causation_id.as_ref(), Some(&started[1].id));
    assert_eq!(request.correlation_id.as_deref(), Some("work-7"));
    let replies = process.events("saga.step_replied").await;
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].causation_id.as_ref(), Some(&request.id));
    drop(served);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_another_service_is_taken_back_there_and_here() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let failed = service(&notes, Err(StepError::InDoubt("the line broke".to_owned())));
    let _served = failed.serve(&process.bus, "ai").await.unwrap();
    let id = process.start(&definition()).await;
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated, "{status:?}");
    let forgot = format!("forget {id}/read/undo  Step(\"read\")");
    assert_eq!(notes.all()[2..], [forgot, "uncheck".to_owned()]);
    assert_eq!(status.steps[1].error.as_deref(), Some("the line broke"));
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_service_has_no_handler_for_is_tried_again_as_the_step_says() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let _served = Handlers::new().serve(&process.bus, "ai").await.unwrap();
    let id = process.start(&alone(Step::new("read").retries(1))).await;
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(status.steps[0].attempts, 2);
    let error = status.steps[0].error.as_deref().unwrap();
    assert_eq!(error, "no handler here for `ai/read`");
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_service_cannot_have_costs_its_step_no_attempt() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let full = |context: StepContext| {
        let result = match context.attempt() {
            ..9 => Err(StepError::Unavailable("no room".to_owned())),
            _ => Ok(json!(1)),
        };
        std::future::ready(result)
    };
    let handlers = Handlers::new().handle("ai", "read", full);
    let _served = handlers.serve(&process.bus, "ai").await.unwrap();
    let id = process.start(&alone(Step::new("read"))).await;
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed, "{status:?}");
    assert_eq!(status.steps[0].attempts, 9);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_version_of_a_step_is_asked_for_and_a_service_that_lacks_it_says_which_it_has() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let version = |number| NonZeroU32::new(number).unwrap();
    let of = |number: u32| {
        let (done, back) = (notes.clone(), notes.clone());
        let handlers = Handlers::new().handle("ai", "read", move |_: StepContext| {
            done.add(format!("read {number}"));
            std::future::ready(Ok::<(), StepError>(()))
        });
        let handlers = handlers.compensate("ai", "forget", move |_: CompensationContext| {
            back.add(format!("forget {number}"));
            std::future::ready(Ok(()))
        });
        handlers.of_version(version(number))
    };
    let plain = Handlers::new().handle("ai", "read", |_: StepContext| async { Ok(()) });
    let handlers = of(1).and(of(2)).and(plain);
    let _served = handlers.serve(&process.bus, "ai").await.unwrap();
    let read = |number| {
        let step = Step::new("read").service("ai").compensated_by("forget");
        step.version(version(number))
    };
    let own = Step::new("gone").service("ai").after("read");
    let definition = Definition::from_steps("reading", vec![read(2), own]).unwrap();
    let id = process.start(&definition).await;
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated, "{status:?}");
    assert_eq!(notes.all(), ["read 2", "forget 2"]);
    let asked = process.events("saga.step_requested").await;
    let asked = asked
        .iter()
        .map(|it| it.payload::<StepRequested>().unwrap());
    let asked: Vec<_> = asked.map(|it| it.version).collect();
    assert_eq!(asked, [Some(version(2)), None, Some(version(2))]);

    let id = process.start(&alone(read(3))).await;
    let status = process.sagas.wait(&id).await.unwrap();
    let error = status.steps[0].error.as_deref().unwrap();
    let lacks = "no handler here for `ai/read` of version 3, only of version 1, 2 and without one";
    assert_eq!(error, lacks);
    assert_eq!(notes.all().len(), 2);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_cut_off_what_another_service_does() {
    let (notes, clock, disk) = (Notes::default(), clock(), MemoryDisk::default());
    let first = Process::open(&disk, &clock, local(&notes)).await;
    let id = first.start(&definition()).await;
    let request = first.request(0).await;
    // Nobody is awaited: closing takes no time.
    let before = clock.elapsed();
    first.close().await;
    assert!(clock.elapsed() - before < Duration::from_secs(1));

    let second = Process::open(&disk, &clock, local(&notes)).await;
    second.reply(&request, |_| {}).await;
    let status = second.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed, "{status:?}");
    assert_eq!(status.steps[1].attempts, 1);
    assert_eq!(notes.all(), ["check", "note {\"n\":1}"]);
    assert_eq!(second.events("saga.step_requested").await.len(), 1);
    second.close().await;
}

/// `read` in the ai service and `check` here at the same time.
fn beside(read: Step) -> Definition {
    let read = read.service("ai").compensated_by("forget");
    let steps = vec![read, Step::new("check").service("lab")];
    Definition::from_steps("beside", steps).unwrap()
}

/// What is done here beside a step elsewhere: it ends so after a while, and hears nothing.
fn slow(after: Duration, result: Result<(), StepError>) -> Handlers {
    let check = move |_: StepContext| {
        let result = result.clone();
        async move {
            tokio::time::sleep(after).await;
            result
        }
    };
    Handlers::new()
        .elsewhere("ai")
        .handle("lab", "check", check)
}

/// An ai service that takes so long to read, whatever it is told, and forgets at once.
fn deaf(notes: &Notes, after: Duration) -> Handlers {
    let (read, forgot) = (notes.clone(), notes.clone());
    Handlers::new()
        .handle("ai", "read", move |_: StepContext| {
            let read = read.clone();
            async move {
                tokio::time::sleep(after).await;
                read.add("read");
                Ok::<(), StepError>(())
            }
        })
        .compensate("ai", "forget", move |_: CompensationContext| {
            forgot.add("forget");
            std::future::ready(Ok(()))
        })
}

#[tokio::test(start_paused = true)]
async fn what_another_service_does_is_not_over_when_closing_waits_for_a_handler_here() {
    let (clock, disk) = (clock(), MemoryDisk::default());
    let here = || slow(Duration::from_secs(2), Ok(()));
    let first = Process::open(&disk, &clock, here()).await;
    let id = first.start(&beside(Step::new("read"))).await;
    let request = first.request(0).await;
    first.close().await;

    let second = Process::open(&disk, &clock, here()).await;
    let status = second.sagas.status(&id).unwrap();
    assert_eq!(
        phases(&status),
        [StepPhase::Executing, StepPhase::Completed]
    );
    second.reply(&request, |_| {}).await;
    let status = second.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed, "{status:?}");
    assert_eq!(status.steps[0].attempts, 1);
    second.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_turns_back_waits_for_another_service_beyond_the_time_of_its_attempt() {
    let (notes, clock) = (Notes::default(), clock());
    let full = Err(StepError::Reject("full".to_owned()));
    let here = slow(Duration::from_millis(1_500), full);
    let process = Process::open(&MemoryDisk::default(), &clock, here).await;
    let there = deaf(&notes, Duration::from_secs(4));
    let _served = there.serve(&process.bus, "ai").await.unwrap();
    // Half a second of it is left when the saga turns back.
    let read = Step::new("read").timeout(Duration::from_secs(2));
    let id = process.start(&beside(read)).await;
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated, "{status:?}");
    assert_eq!(notes.all(), ["read", "forget"]);
    process.close().await;
}

/// Has the ai service cut off in its first call, and asked again by what is there then, which refuses.
async fn refused_when_asked_again(grace: Duration) -> (Vec<String>, SagaStatus) {
    let (notes, clock, disk) = (Notes::default(), clock(), MemoryDisk::default());
    let first = Process::open(&disk, &clock, local(&notes)).await;
    let did = notes.clone();
    let hangs = Handlers::new().handle("ai", "read", move |_: StepContext| {
        did.add("did");
        std::future::pending::<Result<(), StepError>>()
    });
    let _served = hangs.serve(&first.bus, "ai").await.unwrap();
    let id = first.start(&definition()).await;
    first.request(0).await;
    while !notes.all().contains(&"did".to_owned()) {
        tokio::task::yield_now().await;
    }
    first.sagas.shutdown(grace).await;
    first.bus.shutdown(grace).await;

    let second = Process::open(&disk, &clock, local(&notes)).await;
    let refuses = service(&notes, Err(StepError::Reject("no such page".to_owned())));
    let _served = refuses.serve(&second.bus, "ai").await.unwrap();
    let status = second.sagas.wait(&id).await.unwrap();
    second.close().await;
    (notes.all(), status)
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_asked_again_after_it_was_cut_off_is_in_doubt_whatever_it_answers() {
    // Also where the new process of the service begins in the millisecond in which it was asked.
    for grace in [Duration::ZERO, Duration::from_secs(5)] {
        let (notes, status) = refused_when_asked_again(grace).await;
        assert_eq!(status.status, Status::Compensated, "{status:?}");
        assert_eq!(status.steps[1].error.as_deref(), Some("no such page"));
        let forgot = format!("forget {}/read/undo  Step(\"read\")", status.id);
        // What the first call did is taken back.
        assert_eq!(notes[3..], [forgot, "uncheck".to_owned()], "{notes:?}");
        assert_eq!(notes[..2], ["check", "did"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_begins_after_it_was_asked_is_in_doubt_since_another_may_have_done_it() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let id = process.start(&definition()).await;
    process.request(0).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let refuses = service(&notes, Err(StepError::Reject("no such page".to_owned())));
    let _served = refuses.serve(&process.bus, "ai").await.unwrap();
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated, "{status:?}");
    let forgot = format!("forget {id}/read/undo  Step(\"read\")");
    assert_eq!(notes.all()[2..], [forgot, "uncheck".to_owned()]);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_of_an_attempt_elsewhere_goes_on_over_a_restart() {
    let (notes, clock, disk) = (Notes::default(), clock(), MemoryDisk::default());
    let step = Step::new("read").timeout(Duration::from_secs(60));
    let first = Process::open(&disk, &clock, local(&notes)).await;
    let id = first.start(&alone(step)).await;
    first.request(0).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    first.close().await;
    let second = Process::open(&disk, &clock, local(&notes)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(second.sagas.status(&id).unwrap().status, Status::Started);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let status = second.sagas.wait(&id).await.unwrap();
    let error = status.steps[0].error.as_deref().unwrap();
    assert!(error.starts_with("timed out"), "{error}");
    second.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_cut_off_what_another_service_takes_back() {
    let (notes, clock, disk) = (Notes::default(), clock(), MemoryDisk::default());
    let handlers = || {
        let fails = |_: StepContext| async { Err::<(), _>(StepError::Reject("full".to_owned())) };
        Handlers::new().elsewhere("ai").handle("lab", "file", fails)
    };
    let read = Step::new("read").service("ai").compensated_by("forget");
    let steps = vec![read, Step::new("file").service("lab").after("read")];
    let definition = Definition::from_steps("filing", steps).unwrap();
    let first = Process::open(&disk, &clock, handlers()).await;
    let id = first.start(&definition).await;
    first.reply(&first.request(0).await, |_| {}).await;
    let back = first.request(1).await;
    let given = back.compensation.as_ref().unwrap();
    assert_eq!(given.output.as_ref().unwrap().get(), "{\"n\":1}");
    first.close().await;

    let second = Process::open(&disk, &clock, handlers()).await;
    let status = second.sagas.status(&id).unwrap();
    assert_eq!(status.status, Status::Compensating);
    assert_eq!(
        status.turned_back_by,
        Some(TurnedBackBy::Step("file".to_owned()))
    );
    second.reply(&back, |reply| reply.output = None).await;
    let status = second.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(status.steps[0].compensation_attempts, 1);
    assert_eq!(second.events("saga.step_requested").await.len(), 2);
    assert_eq!(notes.all(), [""; 0]);
    second.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_counts_and_one_with_an_old_fencing_token_is_refused_and_counted() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let step = Step::new("read").timeout(Duration::from_secs(1));
    let step = step.retries(1).retry_delay(Duration::from_secs(3_600));
    let id = process.start(&alone(step)).await;
    let request = process.request(0).await;
    process.reply(&request, |reply| reply.fence -= 1).await;
    assert_eq!(process.sagas.stats().fenced, 1);
    let status = process.sagas.status(&id).unwrap();
    assert_eq!(phases(&status), [StepPhase::Executing]);

    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = process.sagas.status(&id).unwrap();
    assert!(status.waits.is_some(), "{status:?}");
    // Between two attempts, its success is the success; again, it changes nothing.
    process.reply(&request, |_| {}).await;
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed);
    process.reply(&request, |_| {}).await;
    process
        .reply(&request, |reply| reply.status = ReplyStatus::Rejected)
        .await;
    let status = process.sagas.status(&id).unwrap();
    assert_eq!(
        (status.status, status.inconsistent),
        (Status::Completed, false)
    );
    // What is about no saga, or no step, is refused and not tried again.
    process
        .reply(&request, |reply| reply.step_id = "lost".to_owned())
        .await;
    let lost = "01a20693-d170-7abb-b148-f81c9809837c";
    process
        .reply(&request, |reply| reply.saga_id = lost.to_owned())
        .await;
    assert_eq!(process.bus.stats().failed_attempts, 0);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_saga_has_its_handler_elsewhere_stop() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let stopped = notes.clone();
    let handlers = Handlers::new().handle("ai", "read", move |context: StepContext| {
        let stopped = stopped.clone();
        async move {
            context.cancelled().cancelled().await;
            stopped.add("stopped");
            Err::<(), _>(StepError::Reject("stopped without effect".to_owned()))
        }
    });
    let _served = handlers.serve(&process.bus, "ai").await.unwrap();
    let id = process.start(&alone(Step::new("read"))).await;
    process.request(0).await;
    process.sagas.cancel(&id, "changed my mind").await.unwrap();
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    let error = status.steps[0].error.as_deref();
    assert_eq!(error, Some("stopped without effect"));
    assert_eq!(notes.all(), ["stopped"]);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_elsewhere_that_panics_or_hangs_leaves_its_step_in_doubt() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let handlers = Handlers::new()
        .handle("ai", "break", |_: StepContext| async {
            if true {
                panic!("the page is torn");
            }
            Ok::<(), StepError>(())
        })
        .handle("ai", "hang", |_: StepContext| {
            std::future::pending::<Result<(), StepError>>()
        });
    let _served = handlers.serve(&process.bus, "ai").await.unwrap();
    let id = process.start(&alone(Step::new("break"))).await;
    let status = process.sagas.wait(&id).await.unwrap();
    let error = status.steps[0].error.as_deref().unwrap();
    assert!(error.contains("the page is torn"), "{error}");
    let id = process.start(&alone(Step::new("hang"))).await;
    let status = process.sagas.wait(&id).await.unwrap();
    let error = status.steps[0].error.as_deref().unwrap();
    assert!(error.starts_with("timed out"), "{error}");
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_list_is_asked_for_by_itself() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let handlers = Handlers::new().handle("ai", "read", |context: StepContext| async move {
        let item: u64 = context.item_as()?;
        Ok::<Value, StepError>(json!(item * 10))
    });
    let definition = Definition::from_yaml(
        "{name: pages, steps: [{id: read, service: ai, action: read, forEach: {from: /pages}}]}",
    );
    let start = saga::Start::new("{\"pages\": [1, 2, 3]}");
    let id = process
        .sagas
        .start(&definition.unwrap(), start)
        .await
        .unwrap();
    // The list itself has no handler: nobody answers for it.
    let request = process.request(0).await;
    process
        .reply(&request, |reply| reply.step_id = "read".to_owned())
        .await;
    assert_eq!(process.sagas.status(&id).unwrap().status, Status::Started);
    let _served = handlers.serve(&process.bus, "ai").await.unwrap();
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed, "{status:?}");
    assert_eq!(status.steps[0].output.as_deref(), Some(&b"[10,20,30]"[..]));
    assert_eq!(process.events("saga.step_requested").await.len(), 3);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_a_request_fails_its_step_without_an_effect() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let large = format!("\"{}\"", "x".repeat(250 * 1024));
    let start = saga::Start::new(large);
    let definition = alone(Step::new("read").retries(3));
    let id = process.sagas.start(&definition, start).await.unwrap();
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(status.steps[0].attempts, 1);
    let error = status.steps[0].error.as_deref().unwrap();
    assert!(error.contains("256002 bytes, more than 245760"), "{error}");
    assert_eq!(process.events("saga.step_requested").await.len(), 0);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_no_text_is_in_doubt_here_and_there_and_no_saga_stands_still() {
    let (notes, clock) = (Notes::default(), clock());
    let broken = |_: StepContext| async {
        let output = Bytes::from_static(b"\"\xff\"");
        Ok::<_, StepError>(Output::from(output))
    };
    let own = local(&notes).handle("own", "break", broken);
    let process = Process::open(&MemoryDisk::default(), &clock, own).await;
    let handlers = Handlers::new().handle("ai", "read", broken);
    let _served = handlers.serve(&process.bus, "ai").await.unwrap();
    // What the first returns would be given to the second.
    let steps = vec![
        Step::new("break").service("own"),
        Step::new("read").service("ai").after("break"),
    ];
    let both = Definition::from_steps("both", steps).unwrap();
    for definition in [both, alone(Step::new("read"))] {
        let id = process.start(&definition).await;
        let status = process.sagas.wait(&id).await.unwrap();
        assert_eq!(status.status, Status::Compensated, "{status:?}");
        let error = status.steps[0].error.as_deref().unwrap();
        assert!(error.starts_with("output is not JSON"), "{error}");
    }
    let start = saga::Start::new(Bytes::from_static(b"\"\xff\""));
    let refused = process.sagas.start(&alone(Step::new("read")), start).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_named_elsewhere_and_a_heartbeat_too_short_for_it_are_refused() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let refused = async |step: Step| {
        let definition = Definition::from_steps("refused", vec![step]).unwrap();
        let start = saga::Start::new("{}");
        let error = process.sagas.start(&definition, start).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let error = refused(Step::new("read").service("audit")).await;
    assert!(error.contains("no handler for `audit/read`"), "{error}");
    let beats = Step::new("read").heartbeat(Duration::from_millis(999));
    let error = refused(beats.service("ai")).await;
    assert!(error.contains("a `heartbeat` of less than 1 s"), "{error}");
    let beats = Step::new("read").heartbeat(SECOND);
    process.start(&alone(beats)).await;
    process.close().await;
}

/// A handler in the ai service that gives so many signs of life, `pause` apart, and then is done or waits to be told to stop.
fn beating(notes: &Notes, signs: u32, pause: Duration, ends: bool) -> Handlers {
    let (back, at_work) = (notes.clone(), Arc::new(tokio::sync::Mutex::new(())));
    let read = move |context: StepContext| {
        let at_work = Arc::clone(&at_work);
        async move {
            // No two attempts are at work at the same time.
            let _alone = at_work.try_lock().unwrap();
            for _ in 0..signs {
                tokio::time::sleep(pause).await;
                context.heartbeat();
            }
            if !ends {
                context.cancelled().cancelled().await;
                return Err(StepError::InDoubt("told to stop".to_owned()));
            }
            Ok::<Value, StepError>(json!(context.attempt()))
        }
    };
    let forget = move |context: CompensationContext| {
        back.add(format!("forget {:?}", context.effect()));
        std::future::ready(Ok(()))
    };
    let handlers = Handlers::new().handle("ai", "read", read);
    handlers.compensate("ai", "forget", forget)
}

fn watched() -> Step {
    let step = Step::new("read").heartbeat(3 * SECOND);
    step.timeout(600 * SECOND).compensated_by("forget")
}

#[tokio::test(start_paused = true)]
async fn a_handler_elsewhere_may_take_long_while_it_gives_signs_of_life() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    // A hundred signs a second for a minute.
    let handlers = beating(&notes, 6_000, SECOND / 100, true);
    let _served = handlers.serve(&process.bus, "ai").await.unwrap();
    let id = process.start(&alone(watched())).await;
    process.request(0).await;
    let before = process.records().await;
    tokio::time::sleep(55 * SECOND).await;
    assert_eq!(process.sagas.status(&id).unwrap().status, Status::Started);
    // None of them is a record.
    assert_eq!(process.records().await, before);
    let status = process.sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed, "{status:?}");
    assert_eq!(status.steps[0].attempts, 1);
    // One a second, and no more: a third of what it may be silent.
    let signs = process.events("saga.step_progressed").await;
    assert!((50..=61).contains(&signs.len()), "{} signs", signs.len());
    let request = &process.events("saga.step_requested").await[0];
    for sign in &signs {
        assert_eq!(sign.causation_id.as_ref(), Some(&request.id));
        assert_eq!(sign.correlation_id.as_deref(), Some("work-7"));
        assert!(sign.expires_at.is_some());
    }
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_elsewhere_that_falls_silent_has_timed_out_and_is_taken_back() {
    for signs in [0, 5] {
        let (notes, clock) = (Notes::default(), clock());
        let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
        let handlers = beating(&notes, signs, SECOND, false);
        let _served = handlers.serve(&process.bus, "ai").await.unwrap();
        let began = tokio::time::Instant::now();
        let step = watched().retries(1).retry_delay(SECOND);
        let id = process.start(&alone(step)).await;
        let status = process.sagas.wait(&id).await.unwrap();
        assert_eq!(status.status, Status::Compensated, "{status:?}");
        assert_eq!(status.steps[0].attempts, 2);
        let error = status.steps[0].error.as_deref();
        assert_eq!(error, Some("gave no sign of life for 3s"));
        assert_eq!(notes.all(), ["forget Unknown"]);
        // Each attempt until it was silent for so long, with the grace of one that is told to stop.
        let each = SECOND * signs + 3 * SECOND;
        let took = began.elapsed();
        assert!(
            took >= 2 * each && took < 2 * each + 15 * SECOND,
            "{took:?}"
        );
        process.close().await;
    }
}

/// An ai service whose handlers hear nothing and are at work for so long. Where two of them are at the same time it says so.
fn deaf_and_alone(notes: &Notes, after: Duration) -> Handlers {
    let at_work = Arc::new(tokio::sync::Mutex::new(()));
    let work = move |what: &'static str, attempt: u32, notes: Notes| {
        let at_work = Arc::clone(&at_work);
        async move {
            match at_work.try_lock() {
                Ok(_alone) => {
                    notes.add(format!("{what} {attempt}"));
                    tokio::time::sleep(after).await;
                }
                Err(_) => notes.add(format!("{what} {attempt} while another is at work")),
            }
            Ok::<(), StepError>(())
        }
    };
    let (read, forget) = (work.clone(), work);
    let (reads, forgets) = (notes.clone(), notes.clone());
    Handlers::new()
        .handle("ai", "read", move |context: StepContext| {
            read("read", context.attempt(), reads.clone())
        })
        .compensate("ai", "forget", move |context: CompensationContext| {
            forget("forget", context.attempt(), forgets.clone())
        })
}

#[tokio::test(start_paused = true)]
async fn an_attempt_elsewhere_that_heeds_nothing_has_ended_before_the_next_one_begins() {
    let timed = Step::new("read").timeout(2 * SECOND);
    let silent = Step::new("read").heartbeat(2 * SECOND);
    for step in [timed, silent] {
        let (notes, clock) = (Notes::default(), clock());
        let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
        let served = deaf_and_alone(&notes, 60 * SECOND).serve(&process.bus, "ai");
        let _served = served.await.unwrap();
        let step = step.retries(1).retry_delay(SECOND / 10);
        let step = step.compensated_by("forget");
        let id = process
            .start(&alone(step.compensation_timeout(2 * SECOND)))
            .await;
        tokio::time::sleep(30 * SECOND).await;
        let begun = ["read 1", "read 2", "forget 1", "forget 2"];
        assert_eq!(notes.all()[..4], begun, "{:?}", notes.all());
        // Each had the grace of one that is told to stop, and no more.
        let status = process.sagas.status(&id).unwrap();
        let read = &status.steps[0];
        let took = read.ended_at.unwrap().since(read.started_at.unwrap());
        assert!(took >= 5 * SECOND && took <= 10 * SECOND, "{took:?}");
        process.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_counts_only_for_its_attempt_and_with_its_fencing_token() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let step = watched().retries(1).retry_delay(SECOND);
    let id = process.start(&alone(step)).await;
    let first = process.request(0).await;
    assert_eq!(first.heartbeat_ms, Some(3_000));
    // Right ones: it goes on.
    for _ in 0..5 {
        tokio::time::sleep(2 * SECOND).await;
        process.progress(&first, |_| {}).await;
    }
    let status = process.sagas.status(&id).unwrap();
    assert_eq!(
        (status.steps[0].attempts, process.sagas.stats().fenced),
        (1, 0)
    );
    // With another token it is refused and counted, and changes nothing.
    let began = tokio::time::Instant::now();
    tokio::time::sleep(2 * SECOND).await;
    process.progress(&first, |sign| sign.fence += 1).await;
    assert_eq!(process.sagas.stats().fenced, 1);
    let second = process.request(1).await;
    assert_eq!(second.attempt, 2);
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    // Nor does one of the attempt before, of another step or of no saga.
    tokio::time::sleep(2 * SECOND).await;
    process.progress(&first, |_| {}).await;
    process
        .progress(&second, |sign| sign.step_id = "lost".to_owned())
        .await;
    let lost = "01a20693-d170-7abb-b148-f81c9809837c";
    process
        .progress(&second, |sign| sign.saga_id = lost.to_owned())
        .await;
    let status = process.sagas.status(&id).unwrap();
    assert_eq!(status.status, Status::Executing, "it has a second left");
    tokio::time::sleep(2 * SECOND).await;
    let status = process.sagas.status(&id).unwrap();
    assert_eq!(status.status, Status::Compensating, "{status:?}");
    let back = process.request(2).await;
    assert!(back.compensation.is_some() && back.heartbeat_ms.is_none());
    assert_eq!(process.bus.stats().failed_attempts, 0);
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_of_one_step_says_nothing_of_another() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let other = Step::new("other").service("ai").action("read");
    let other = other.heartbeat(3 * SECOND).timeout(600 * SECOND);
    let read = watched().service("ai").action("read");
    let definition = Definition::from_steps("two", vec![read, other]).unwrap();
    let id = process.start(&definition).await;
    let requests = [process.request(0).await, process.request(1).await];
    let [heard, silent] = match requests[0].step_id.as_str() {
        "read" => requests,
        _ => {
            let [first, second] = requests;
            [second, first]
        }
    };
    assert_eq!(
        (heard.step_id.as_str(), silent.step_id.as_str()),
        ("read", "other")
    );
    for _ in 0..2 {
        tokio::time::sleep(2 * SECOND).await;
        process.progress(&heard, |_| {}).await;
    }
    let status = process.sagas.status(&id).unwrap();
    let reason = status.error.as_deref().unwrap_or_default();
    assert!(
        reason.contains("`other`") && reason.contains("no sign of life"),
        "{status:?}"
    );
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_after_the_end_of_its_attempt_changes_nothing() {
    let (notes, clock) = (Notes::default(), clock());
    let process = Process::open(&MemoryDisk::default(), &clock, local(&notes)).await;
    let step = watched().retries(1).retry_delay(60 * SECOND);
    let id = process.start(&alone(step)).await;
    let first = process.request(0).await;
    let began = tokio::time::Instant::now();
    tokio::time::sleep(4 * SECOND).await;
    let before = process.records().await;
    for _ in 0..10 {
        process.progress(&first, |_| {}).await;
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(process.records().await, before);
    let second = process.request(1).await;
    // The delay is half of what it says, or more.
    assert!(began.elapsed() >= 30 * SECOND, "{:?}", began.elapsed());
    process.reply(&second, |_| {}).await;
    let ended = process.sagas.wait(&id).await.unwrap();
    assert_eq!(ended.status, Status::Completed, "{ended:?}");
    process.progress(&second, |_| {}).await;
    let after = process.sagas.status(&id).unwrap();
    assert_eq!(format!("{after:?}"), format!("{ended:?}"));
    process.close().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_an_attempt_elsewhere_has_the_time_for_its_next_sign_anew() {
    let (notes, clock, disk) = (Notes::default(), clock(), MemoryDisk::default());
    let first = Process::open(&disk, &clock, local(&notes)).await;
    let id = first.start(&alone(watched())).await;
    let request = first.request(0).await;
    tokio::time::sleep(2 * SECOND).await;
    first.close().await;
    // However long nobody was there.
    tokio::time::sleep(60 * SECOND).await;
    let second = Process::open(&disk, &clock, local(&notes)).await;
    for _ in 0..5 {
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(second.sagas.status(&id).unwrap().status, Status::Started);
        second.progress(&request, |_| {}).await;
    }
    // No sign any more: it is asked to be taken back.
    tokio::time::sleep(10 * SECOND).await;
    let status = second.sagas.status(&id).unwrap();
    let error = status.steps[0].error.as_deref();
    assert_eq!(error, Some("gave no sign of life for 3s"));
    assert_eq!(second.events("saga.step_requested").await.len(), 2);
    second.close().await;
}

/// The trace and the span of each call, with a name.
type Spans = Arc<Mutex<Vec<(String, TraceContext)>>>;

fn note_span(spans: &Spans, what: &str, context: &sagabus::saga::CallContext) {
    let span = context.trace().unwrap();
    let name = format!("{what} {}", context.attempt());
    spans.lock().unwrap().push((name, span));
}

/// Handlers of `lab`, or of `ai`, that note their spans: `check` fails once, `file` for good.
fn spanned(spans: &Spans, service: &str) -> Handlers {
    let mut handlers = Handlers::new();
    for action in ["check", "read", "file"] {
        let (done, back) = (Arc::clone(spans), Arc::clone(spans));
        handlers = handlers.handle(service, action, move |context: StepContext| {
            note_span(&done, action, &context);
            async move {
                if action == "read" {
                    // Long enough for a sign of life.
                    tokio::time::sleep(SECOND).await;
                }
                match (action, context.attempt()) {
                    ("check", 1) => Err(StepError::Retry("busy".to_owned())),
                    ("file", _) => Err(StepError::Reject("full".to_owned())),
                    _ => Ok(Value::Null),
                }
            }
        });
        let undo = format!("un{action}");
        let name = undo.clone();
        handlers = handlers.compensate(service, &name, move |context: CompensationContext| {
            note_span(&back, &undo, &context);
            std::future::ready(Ok(()))
        });
    }
    handlers
}

#[tokio::test(start_paused = true)]
async fn one_trace_goes_from_an_event_over_a_restart_through_steps_here_and_elsewhere_and_inner_sagas()
 {
    let (clock, disk, spans) = (clock(), MemoryDisk::default(), Spans::default());
    let undone = |step: Step, action: &str| step.compensated_by(action);
    let inner = Definition::from_steps("inner", vec![Step::new("check").service("lab").retries(1)]);
    let read = Step::new("read")
        .service("ai")
        .after("inside")
        .heartbeat(3 * SECOND);
    let steps = vec![
        Step::new("inside").service("lab").child(inner.unwrap()),
        undone(read, "unread"),
        undone(
            Step::new("check").service("lab").retries(1).after("read"),
            "uncheck",
        ),
        Step::new("file").service("lab").after("check"),
    ];
    let definition = Definition::from_steps("traced", steps).unwrap();
    let here = || spanned(&spans, "lab").elsewhere("ai");
    let publisher: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();

    let first = Process::open(&disk, &clock, here()).await;
    let start = |_: &Event| Ok(Some(saga::Start::new("{}")));
    let created = first.bus.subscription("traced").pattern("sample.created");
    let created = created.start(Start::Earliest);
    let trigger = first.sagas.started_by(created, definition, start).await;
    let mut event = event(&first.bus, "sample.created", "{}");
    let (name, value) = (TRACEPARENT.to_owned(), publisher.to_string());
    event.metadata.insert(name, value);
    let cause = event.id.clone();
    first.bus.publish(event).await.unwrap();
    first.request(0).await;
    drop(trigger.unwrap());
    first.close().await;

    let second = Process::open(&disk, &clock, here()).await;
    let served = spanned(&spans, "ai")
        .serve(&second.bus, "ai")
        .await
        .unwrap();
    let outer = second.sagas.active();
    let outer = outer.iter().find(|it| it.name == "traced").unwrap();
    let status = second.sagas.wait(&outer.id).await.unwrap();
    assert_eq!(status.status, Status::Compensated, "{status:?}");
    idle(&second.bus).await;

    // Each attempt has a span of its own, in the trace of the event.
    let spans = spans.lock().unwrap().clone();
    let names: Vec<&str> = spans.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "check 1",
            "check 2",
            "read 1",
            "check 1",
            "check 2",
            "file 1",
            "uncheck 1",
            "unread 1"
        ]
    );
    let ids: BTreeSet<u64> = spans.iter().map(|(_, span)| span.span_id()).collect();
    assert_eq!(ids.len(), spans.len());
    assert!(!ids.contains(&publisher.span_id()));
    for (name, span) in &spans {
        assert_eq!(span.trace_id(), publisher.trace_id(), "{name}");
    }
    // All events of both sagas are in it, and so are commands, replies and signs of life.
    let page = second.bus.read(1, 1_000).await.unwrap();
    let mut types = BTreeSet::new();
    for (_, event) in &page.events {
        if event.id == cause {
            continue;
        }
        let own = TraceContext::of(event).unwrap_or_else(|| panic!("{event:?}"));
        assert_eq!(own.trace_id(), publisher.trace_id(), "{event:?}");
        assert!(own.to_string().ends_with("-01"), "{own}");
        types.insert(event.event_type.to_string());
    }
    for event_type in [
        "saga.started",
        "saga.failed",
        "saga.step_requested",
        "saga.step_progressed",
    ] {
        assert!(types.contains(event_type), "{event_type}: {types:?}");
    }
    let started = second.events("saga.started").await;
    assert_eq!(started.len(), 2);
    // The reply comes from the handler's span, which is none of the orchestrator's.
    let replied = TraceContext::of(&second.events("saga.step_replied").await[0]).unwrap();
    assert_eq!(replied, spans[2].1);
    let requested = TraceContext::of(&second.events("saga.step_requested").await[0]).unwrap();
    assert_ne!(requested, replied);
    // The command comes from the attempt's span, and not from that of a saga, which its events come from.
    for event in &started {
        assert_ne!(TraceContext::of(event), Some(requested));
    }
    drop(served);
    second.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_is_started_in_no_trace_is_in_none() {
    let (notes, clock) = (Notes::default(), clock());
    let looked = notes.clone();
    let own = Handlers::new().handle("own", "look", move |context: StepContext| {
        looked.add(format!("{:?}", context.trace()));
        std::future::ready(Ok::<(), StepError>(()))
    });
    let process = Process::open(&MemoryDisk::default(), &clock, own).await;
    let look = Step::new("look").service("own");
    let id = process
        .start(&Definition::from_steps("look", vec![look]).unwrap())
        .await;
    process.sagas.wait(&id).await.unwrap();
    assert_eq!(notes.all(), ["None"]);
    let page = process.bus.read(1, 1_000).await.unwrap();
    assert!(
        page.events
            .iter()
            .all(|(_, event)| event.metadata.is_empty())
    );
    process.close().await;
}
