//! The same graph and the same failure here and in steno: the same steps are done and taken back, in a legal order.

use std::sync::{Arc, Mutex};

use sagabus::engines::embedded::Embedded;
use sagabus::saga::{
    self, CompensationContext, Definition, Handlers, Status, Step, StepContext, StepError,
};
use sagabus::{Clock, Sagas, SystemClock};
use steno::{
    Action, ActionContext, ActionError, ActionFunc, ActionRegistry, DagBuilder, InMemorySecStore,
    Node, SagaDag, SagaId, SagaName, SagaType, SecClient, UndoResult,
};
use tokio::sync::Semaphore;

/// Graphs have up to so many stages of up to so many steps; each step waits for all of the stage before it, as steno builds them.
const STAGES_MAX: usize = 3;
const WIDTH_MAX: usize = 3;

/// A step: its stage and its place in it.
type Place = (usize, usize);

/// One saga: its graph, which of its steps fails, and what its handlers did.
#[derive(Debug)]
struct Run {
    /// How many steps each stage has.
    stages: Vec<usize>,
    fails: Option<Place>,
    /// Whether the steps beside the one that fails are done before it fails, or after it.
    fails_last: bool,
    /// Lets steps of one stage go on in the order of `fails_last`.
    turns: Semaphore,
    done: Mutex<Vec<Place>>,
    undone: Mutex<Vec<Place>>,
}

impl Run {
    fn new(stages: &[usize], fails: Option<Place>, fails_last: bool) -> Arc<Self> {
        Arc::new(Self {
            stages: stages.to_vec(),
            fails,
            fails_last,
            turns: Semaphore::new(0),
            done: Mutex::default(),
            undone: Mutex::default(),
        })
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(stage, width)| (0..*width).map(move |place| (stage, place)))
    }

    /// The work of a step, whichever library asks for it; `false` is a failure.
    async fn act(&self, step: &str) -> bool {
        let place = place(step);
        let beside = self
            .fails
            .filter(|(stage, _)| *stage == place.0)
            .map(|(stage, _)| self.stages.get(stage).map_or(0, |width| width - 1));
        let is_failing = self.fails == Some(place);
        if let Some(beside) = beside {
            if is_failing == self.fails_last {
                let wanted = if is_failing { beside } else { 1 };
                let wanted = u32::try_from(wanted).unwrap();
                self.turns.acquire_many(wanted).await.unwrap().forget();
            } else {
                self.turns.add_permits(if is_failing { beside } else { 1 });
            }
        }
        if !is_failing {
            self.done.lock().unwrap().push(place);
        }
        !is_failing
    }

    fn undo(&self, step: &str) {
        self.undone.lock().unwrap().push(place(step));
    }

    /// What was done and what was taken back, each in the order of the graph.
    fn sets(&self) -> (Vec<Place>, Vec<Place>) {
        let sorted = |list: &Mutex<Vec<Place>>| {
            let mut list = list.lock().unwrap().clone();
            list.sort_unstable();
            list
        };
        (sorted(&self.done), sorted(&self.undone))
    }

    /// Whether nothing was taken back before what depends on it.
    fn is_legal(&self) -> bool {
        let undone = self.undone.lock().unwrap();
        undone.is_sorted_by(|(before, _), (after, _)| before >= after)
    }
}

fn name((stage, place): Place) -> String {
    format!("step_{stage}_{place}")
}

fn place(step: &str) -> Place {
    let mut numbers = step.split('_').skip(1).map(|it| it.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Runs it here; says whether it completed.
async fn here(run: &Arc<Run>) -> bool {
    let (acts, undoes) = (Arc::clone(run), Arc::clone(run));
    let handlers = Handlers::new()
        .handle("s", "act", move |context: StepContext| {
            let run = Arc::clone(&acts);
            async move {
                match run.act(context.step_id()).await {
                    true => Ok::<(), StepError>(()),
                    false => Err(StepError::Reject("as asked".to_owned())),
                }
            }
        })
        .compensate("s", "undo", move |context: CompensationContext| {
            undoes.undo(context.step_id());
            std::future::ready(Ok::<(), StepError>(()))
        });
    let mut definition = Definition::builder("stages");
    for (stage, number) in run.places() {
        let mut step = Step::new(name((stage, number)))
            .service("s")
            .action("act")
            .compensated_by("undo")
            .retries(0);
        for (before, other) in run.places().filter(|(other, _)| *other + 1 == stage) {
            step = step.after(name((before, other)));
        }
        definition = definition.step(step);
    }
    let definition = definition.build().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let sagas = Sagas::builder(engine, clock)
        .handlers(handlers)
        .open()
        .await
        .unwrap();
    let start = saga::Start::new("{}");
    let id = sagas.start(&definition, start).await.unwrap();
    let ended = sagas.wait(&id).await.unwrap();
    assert!(
        [Status::Completed, Status::Compensated].contains(&ended.status),
        "{run:?}: {ended:?}"
    );
    ended.status == Status::Completed
}

#[derive(Debug)]
struct Stages;

impl SagaType for Stages {
    type ExecContextType = Arc<Run>;
}

async fn act(context: ActionContext<Stages>) -> Result<(), ActionError> {
    match context.user_data().act(&context.node_label()).await {
        true => Ok(()),
        false => Err(ActionError::action_failed("as asked".to_owned())),
    }
}

async fn undo(context: ActionContext<Stages>) -> UndoResult {
    context.user_data().undo(&context.node_label());
    Ok(())
}

/// Runs it in steno; says whether it completed.
async fn there(client: &SecClient, run: &Arc<Run>) -> bool {
    let action: Arc<dyn Action<Stages>> = ActionFunc::new_action("act", act, undo);
    let mut registry = ActionRegistry::new();
    registry.register(Arc::clone(&action));
    let mut graph = DagBuilder::new(SagaName::new("stages"));
    for (stage, width) in run.stages.iter().enumerate() {
        let nodes = (0..*width).map(|number| name((stage, number)));
        graph.append_parallel(
            nodes
                .map(|name| Node::action(&name, &name, action.as_ref()))
                .collect(),
        );
    }
    // A graph there ends in one node, whose output is that of the saga.
    graph.append(Node::constant("end", serde_json::Value::Null));
    let graph = SagaDag::new(graph.build().unwrap(), serde_json::Value::Null);
    let id = SagaId::new_v4();
    let ended = client
        .saga_create(
            id,
            Arc::new(Arc::clone(run)),
            Arc::new(graph),
            registry.into(),
        )
        .await
        .unwrap();
    client.saga_start(id).await.unwrap();
    match ended.await.kind {
        Ok(_) => true,
        Err(failed) => {
            assert!(failed.undo_failure.is_none(), "{run:?}");
            false
        }
    }
}

/// Each list of 1 to `STAGES_MAX` widths from 1 to `WIDTH_MAX`.
fn graphs() -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    let mut longest = vec![Vec::new()];
    for _ in 0..STAGES_MAX {
        longest = longest
            .iter()
            .flat_map(|graph: &Vec<usize>| {
                (1..=WIDTH_MAX).map(move |width| [graph.as_slice(), &[width]].concat())
            })
            .collect();
        all.extend(longest.iter().cloned());
    }
    all
}

#[tokio::test]
async fn the_same_steps_are_done_and_taken_back_as_in_another_saga_library() {
    let store = Arc::new(InMemorySecStore::new());
    let client = steno::sec(slog::Logger::root(slog::Discard, slog::o!()), store);
    let (mut runs, mut taken_back) = (0, 0);
    for stages in graphs() {
        let places: Vec<Place> = Run::new(&stages, None, false).places().collect();
        let fails = std::iter::once(None).chain(places.into_iter().map(Some));
        for (fails, fails_last) in fails.flat_map(|fails| [(fails, false), (fails, true)]) {
            let [ours, theirs] = [(); 2].map(|()| Run::new(&stages, fails, fails_last));
            let completed = here(&ours).await;
            assert_eq!(
                completed,
                there(&client, &theirs).await,
                "{ours:?} {theirs:?}"
            );
            assert_eq!(completed, fails.is_none(), "{ours:?}");
            assert_eq!(ours.sets(), theirs.sets(), "{ours:?} {theirs:?}");
            assert!(ours.is_legal() && theirs.is_legal(), "{ours:?} {theirs:?}");
            runs += 1;
            taken_back += ours.undone.lock().unwrap().len();
        }
    }
    client.shutdown().await;
    // 39 graphs with 204 steps: each whole, and with each of its steps failing, in two orders.
    assert_eq!(runs, 2 * (39 + 204));
    assert!(taken_back > runs, "{taken_back}");
}
