//! The same calls have the same answers, at the same times, on the memory disk and on a real directory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sagabus::conformance::embedded::EmbeddedCluster;
use sagabus::conformance::{Cluster, Rule, all, history};
use sagabus::ledger::{By, Repaired};
use sagabus::transport::{
    Capabilities, DeadLetterIds, DeadLetterPage, DeadLetterQuery, Kept, Lateness, Leased,
    LedgerAdmin, LedgerView, Member, Page, PauseUntil, Published, Receipt, Repair, RepairQuery,
    Scheduled, ScheduledEvent, Schedules, Settle, SubscriptionSpec, Transport,
};
use sagabus::{Clock, Event, Result, Timestamp};

/// Random histories that are compared, and their steps.
const HISTORIES: u64 = 12;
const STEPS: usize = 200;
/// Rules with so many writes one after the other that a real disk takes minutes; each runs on one by itself.
const LONG: [&str; 1] = ["ten_thousand_events_of_one_moment_all_come"];

/// What was called and answered, one line each.
#[derive(Clone, Debug)]
struct Trace {
    lines: Arc<Mutex<Vec<String>>>,
    clock: Arc<dyn Clock>,
}

impl Trace {
    fn note(&self, what: &str) {
        let now = self.clock.now();
        self.lines.lock().unwrap().push(format!("{now} {what}"));
    }

    /// Notes the answer to a call; an error by its kind.
    fn answer<T: std::fmt::Debug>(&self, call: &str, answer: &Result<T>) {
        match answer {
            Ok(answer) => self.note(&format!("{call}: {answer:?}")),
            Err(error) => self.note(&format!("{call}: {:?}", error.kind())),
        }
    }
}

/// A cluster whose engine is listened to.
#[derive(Debug)]
struct Traced {
    cluster: EmbeddedCluster,
    trace: Trace,
}

#[derive(Debug)]
struct TracedTransport {
    transport: Arc<dyn Transport>,
    trace: Trace,
}

#[derive(Debug)]
struct TracedMember {
    member: Arc<dyn Member>,
    name: String,
    trace: Trace,
}

#[async_trait]
impl Cluster for Traced {
    async fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(TracedTransport {
            transport: self.cluster.transport().await,
            trace: self.trace.clone(),
        })
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.cluster.clock()
    }

    fn jump(&self, by: Duration, is_back: bool) {
        self.cluster.jump(by, is_back);
    }

    fn unit(&self) -> Duration {
        self.cluster.unit()
    }

    fn lateness(&self) -> Duration {
        self.cluster.lateness()
    }

    fn remember(&self, events: usize, time: Duration) {
        self.cluster.remember(events, time);
    }

    fn set_room(&self, has_room: bool) {
        self.cluster.set_room(has_room);
    }

    async fn crash(&self) {
        self.trace.note("crash");
        self.cluster.crash().await;
    }

    async fn restart(&self) {
        self.trace.note("restart");
        self.cluster.restart().await;
    }

    fn kill(&self, member: Arc<dyn Member>) {
        self.trace.note("kill");
        self.cluster.kill(member);
    }
}

#[async_trait]
impl Transport for TracedTransport {
    fn capabilities(&self) -> Capabilities {
        self.transport.capabilities()
    }

    async fn append(&self, events: &[Arc<Event>]) -> Result<Vec<Receipt>> {
        let answer = self.transport.append(events).await;
        self.trace.answer("append", &answer);
        answer
    }

    async fn join(&self, spec: SubscriptionSpec) -> Result<Arc<dyn Member>> {
        let name = format!("{} of {}", spec.member, spec.name);
        let answer = self.transport.join(spec).await;
        self.trace.answer(
            &format!("join {name}"),
            &answer.as_ref().map(drop).map_err(kind),
        );
        Ok(Arc::new(TracedMember {
            member: answer?,
            name,
            trace: self.trace.clone(),
        }))
    }

    async fn read(&self, position: u64, max: usize) -> Result<Page> {
        let answer = self.transport.read(position, max).await;
        let told = answer.as_ref().map(|it| (it.next, it.events.len()));
        self.trace
            .answer(&format!("read {position}"), &told.map_err(kind));
        answer
    }

    fn published(&self) -> Published {
        self.transport.published()
    }

    fn ledgers(&self) -> &dyn LedgerAdmin {
        self
    }

    fn schedules(&self) -> &dyn Schedules {
        self
    }

    fn condition(&self) -> Result<()> {
        self.transport.condition()
    }

    fn kept(&self) -> Kept {
        self.transport.kept()
    }

    async fn close(&self) {
        self.transport.close().await;
    }
}

/// An error of the same kind, for the trace.
fn kind(error: &sagabus::Error) -> sagabus::Error {
    sagabus::Error::new(error.kind(), "traced")
}

#[async_trait]
impl LedgerAdmin for TracedTransport {
    fn list(&self) -> Vec<LedgerView> {
        self.transport.ledgers().list()
    }

    async fn find(&self, query: &DeadLetterQuery) -> Result<DeadLetterIds> {
        let answer = self.transport.ledgers().find(query).await;
        self.trace.answer("find", &answer);
        answer
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage> {
        let answer = self.transport.ledgers().dead_letters(query).await;
        self.trace.answer("dead letters", &answer);
        answer
    }

    async fn repair(&self, subscription: &str, positions: &[u64], repair: Repair) -> Result<usize> {
        let call = format!("repair {subscription} {positions:?} {repair:?}");
        let ledgers = self.transport.ledgers();
        let answer = ledgers.repair(subscription, positions, repair).await;
        self.trace.answer(&call, &answer);
        answer
    }

    async fn set_pause(&self, subscription: &str, until: Option<PauseUntil>, by: By) -> Result<()> {
        let ledgers = self.transport.ledgers();
        let answer = ledgers.set_pause(subscription, until, by).await;
        self.trace
            .answer(&format!("pause {subscription} {until:?}"), &answer);
        answer
    }

    fn repairs(&self, subscription: &str, query: &RepairQuery) -> Result<Vec<Repaired>> {
        let answer = self.transport.ledgers().repairs(subscription, query);
        self.trace
            .answer(&format!("repairs {subscription}"), &answer);
        answer
    }

    async fn remove(&self, subscription: &str, by: By) -> Result<bool> {
        let answer = self.transport.ledgers().remove(subscription, by).await;
        self.trace
            .answer(&format!("remove {subscription}"), &answer);
        answer
    }
}

#[async_trait]
impl Schedules for TracedTransport {
    async fn set(&self, scheduled: Scheduled) -> Result<Receipt> {
        let answer = self.transport.schedules().set(scheduled).await;
        self.trace.answer("schedule", &answer);
        answer
    }

    async fn cancel(&self, cancel_key: &str) -> Result<bool> {
        let answer = self.transport.schedules().cancel(cancel_key).await;
        self.trace.answer(&format!("cancel {cancel_key}"), &answer);
        answer
    }

    async fn move_to(&self, cancel_key: &str, due: Timestamp) -> Result<bool> {
        let answer = self.transport.schedules().move_to(cancel_key, due).await;
        self.trace
            .answer(&format!("move {cancel_key} to {due}"), &answer);
        answer
    }

    async fn list(
        &self,
        after: Option<(Timestamp, u64)>,
        max: usize,
    ) -> Result<Vec<ScheduledEvent>> {
        let answer = self.transport.schedules().list(after, max).await;
        self.trace.answer("list", &answer);
        answer
    }

    fn count(&self) -> usize {
        self.transport.schedules().count()
    }

    fn lateness(&self) -> Lateness {
        self.transport.schedules().lateness()
    }
}

#[async_trait]
impl Member for TracedMember {
    async fn lease(&self, max: usize) -> Result<Vec<Leased>> {
        let answer = self.member.lease(max).await;
        let told = answer.as_ref().map(|leased| {
            let told = leased
                .iter()
                .map(|it| (it.token, it.silent, it.revision, it.redrives, &it.event.id));
            told.collect::<Vec<_>>()
        });
        self.trace
            .answer(&format!("lease {}", self.name), &told.map_err(kind));
        answer
    }

    async fn settle(&self, settles: Vec<Settle>) -> Result<Vec<bool>> {
        let call = format!("settle {} {settles:?}", self.name);
        let answer = self.member.settle(settles).await;
        self.trace.answer(&call, &answer);
        answer
    }

    fn renew(&self) -> Result<()> {
        self.member.renew()
    }

    fn leave(&self) {
        self.trace.note(&format!("leave {}", self.name));
        self.member.leave();
    }
}

type Open = fn() -> EmbeddedCluster;

const MEMORY: Open = EmbeddedCluster::in_paused_memory;

fn directory() -> EmbeddedCluster {
    EmbeddedCluster::in_paused_directory().unwrap()
}

/// What comes of the work on a new cluster, in a runtime of its own.
fn on<T>(open: Open, work: impl AsyncFnOnce(EmbeddedCluster) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async { work(open()).await })
}

fn trace(rule: &Rule, open: Open) -> Vec<String> {
    on(open, async |cluster| {
        let trace = Trace {
            lines: Arc::default(),
            clock: cluster.clock(),
        };
        let traced = Traced {
            cluster,
            trace: trace.clone(),
        };
        (rule.run)(&traced).await;
        let lines = trace.lines.lock().unwrap();
        lines.clone()
    })
}

#[test]
fn each_rule_has_the_same_trace_in_memory_and_on_a_directory() {
    let rules = all();
    let mut lines = 0;
    for rule in rules.iter().filter(|it| !LONG.contains(&it.name)) {
        let (memory, directory) = std::thread::scope(|scope| {
            let memory = scope.spawn(|| trace(rule, MEMORY));
            let directory = trace(rule, directory);
            (memory.join().unwrap(), directory)
        });
        let differ = memory.iter().zip(&directory).find(|(one, two)| one != two);
        assert_eq!(differ, None, "{}", rule.name);
        assert_eq!(memory.len(), directory.len(), "{}", rule.name);
        lines += memory.len();
    }
    println!(
        "{} rules, {lines} calls with the same answers",
        rules.len() - LONG.len()
    );
    assert!(lines > 10_000, "{lines} calls");
}

#[test]
fn random_histories_are_the_same_in_memory_and_on_a_directory() {
    for seed in 0..HISTORIES {
        let lived = |open| {
            on(open, async |cluster| {
                history::run(&cluster, seed, STEPS).await.0
            })
        };
        let (memory, directory) = (lived(MEMORY), lived(directory));
        assert!(memory == directory, "seed {seed} differs");
    }
}

#[cfg(feature = "simulation")]
#[test]
fn a_fault_on_one_of_them_makes_the_histories_differ() {
    use sagabus::engines::embedded::simulation::DeliveryBug;
    let lived = |seed, bug| {
        DeliveryBug::plant(bug);
        let history = on(MEMORY, async |cluster| {
            history::run(&cluster, seed, STEPS).await.0
        });
        DeliveryBug::plant(None);
        history
    };
    let differ = |seed: &u64| lived(*seed, None) != lived(*seed, Some(DeliveryBug::FaultsCut));
    assert!((0..HISTORIES).any(|seed| differ(&seed)));
}
