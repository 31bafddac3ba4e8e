//! The kit for users finds what a saga's handlers do wrong, and nothing where they are right.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sagabus::engines::embedded::simulation::SagaBug;
use sagabus::saga::{
    CompensationContext, Definition, Handlers, Options, Order, SagaStatus, Status, Step,
    StepContext, StepError,
};
use sagabus::sagatest::{Sweep, World};

/// How the handlers of a world do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Right,
    /// A step that is called again has another effect.
    CountsTwice,
    /// A compensation without an output does nothing.
    TrustsOutput,
    /// A compensation that finds nothing fails.
    WantsSomething,
}

/// How much of each thing is there, by the key of the step.
struct Bench {
    way: Way,
    taken: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Bench {
    fn new(way: Way) -> Self {
        Self {
            way,
            taken: Arc::default(),
        }
    }
}

impl World for Bench {
    fn handlers(&self) -> Handlers {
        let (taken, freed, way) = (Arc::clone(&self.taken), Arc::clone(&self.taken), self.way);
        Handlers::new()
            .handle("bench", "take", move |context: StepContext| {
                let mut taken = taken.lock().unwrap();
                let count = taken.entry(context.key()).or_insert(0);
                *count = if way == Way::CountsTwice {
                    *count + 1
                } else {
                    1
                };
                let output = serde_json::json!({ "took": context.step_id() });
                async move { Ok::<_, StepError>(output) }
            })
            .compensate("bench", "free", move |context: CompensationContext| {
                let is_blind = way == Way::TrustsOutput && context.step_output().is_none();
                let mut taken = freed.lock().unwrap();
                let found = match is_blind {
                    true => Some(0),
                    false => taken.remove(&context.step_key()),
                };
                let is_refused = way == Way::WantsSomething && found.is_none();
                async move {
                    match is_refused {
                        true => Err(StepError::Reject("nothing is there".to_owned())),
                        false => Ok(()),
                    }
                }
            })
    }

    async fn check(&self, ended: &SagaStatus) -> Result<(), String> {
        let taken = self.taken.lock().unwrap();
        let steps = ended.steps.iter().filter(|step| !step.action.is_empty());
        for step in steps {
            let key = format!("{}/{}", ended.id, step.id);
            let count = taken.get(&key).copied().unwrap_or(0);
            let wanted = match (ended.status, &step.compensation_action) {
                (Status::Completed, _) => 1..=1,
                (_, Some(_)) => 0..=0,
                (_, None) => 0..=1,
            };
            if step.service == "bench" && !wanted.contains(&count) {
                return Err(format!("`{}` is there {count} times", step.id));
            }
        }
        Ok(())
    }
}

fn step(id: &str) -> Step {
    Step::new(id)
        .service("bench")
        .action("take")
        .compensated_by("free")
}

fn define(options: Options, steps: Vec<Step>) -> Definition {
    let mut definition = Definition::builder("kit").options(options);
    for step in steps {
        definition = definition.step(step);
    }
    definition.build().unwrap()
}

/// Sagas of each shape that a definition can have.
fn definitions() -> Vec<(&'static str, Definition)> {
    let parallel = Options {
        compensation: Order::Parallel,
        ..Options::default()
    };
    let diamond = || {
        vec![
            step("a"),
            step("b").after("a").retries(1),
            step("c").after("a"),
            step("d").after("b").after("c"),
        ]
    };
    let neutral = Step::new("note").service("bench").action("take");
    vec![
        (
            "chain",
            define(
                Options::default(),
                vec![step("a"), step("b").after("a"), step("c").after("b")],
            ),
        ),
        ("diamond", define(Options::default(), diamond())),
        (
            "diamond taken back in parallel",
            define(parallel, diamond()),
        ),
        (
            "pivot",
            define(
                Options::default(),
                vec![
                    step("a"),
                    step("b").after("a").pivot(),
                    neutral.clone().after("b"),
                ],
            ),
        ),
        (
            "waits",
            define(
                Options::default(),
                vec![
                    step("a"),
                    Step::new("lab").after("a").signal("results"),
                    Step::new("head").after("lab").approval("head"),
                    Step::new("rest")
                        .after("a")
                        .timer(std::time::Duration::from_secs(5)),
                    step("b").after("head").after("rest"),
                    neutral.after("b"),
                ],
            ),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn nothing_is_found_in_sagas_of_any_shape_whose_handlers_are_right() {
    for (shape, definition) in definitions() {
        let report = Sweep::new(definition, async || Bench::new(Way::Right))
            .run()
            .await;
        println!("{shape}: {} runs", report.runs);
        report.assert_clean();
        assert!(report.runs > 30, "{shape}: {} runs", report.runs);
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_handlers_is_found_and_told_with_its_step_and_its_run() {
    for (way, told) in [
        (
            Way::CountsTwice,
            "step `a` is done twice: `a` is there 2 times",
        ),
        (
            Way::TrustsOutput,
            "step `b` is in doubt: `b` is there 1 times",
        ),
        (Way::WantsSomething, "compensation of `a` hangs: "),
    ] {
        let (_, definition) = definitions().swap_remove(0);
        let report = Sweep::new(definition, async || Bench::new(way)).run().await;
        let found: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        println!("{way:?}: {} of {} runs", found.len(), report.runs);
        assert!(
            found.iter().any(|it| it.starts_with(told)),
            "{way:?}: {found:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_below_does_wrong_is_found_by_what_a_run_shows() {
    for (bug, told) in [
        (
            SagaBug::StartForgotten,
            "a start that was acknowledged is not in the store",
        ),
        (SagaBug::EpochFalls, "an epoch that is over appends"),
        (
            SagaBug::OutputForgotten,
            "`b` does not see the durable output of `a`",
        ),
        (SagaBug::KeyChanges, "`b` has the keys "),
        (SagaBug::EndsTwice, "a saga ends twice"),
    ] {
        // The diamond: its step `b` is tried twice.
        let (_, definition) = definitions().swap_remove(1);
        SagaBug::plant(Some(bug));
        let sweep = Sweep::new(definition, async || Bench::new(Way::Right));
        let report = sweep.run().await;
        SagaBug::plant(None);
        let found: Vec<&str> = report.failures.iter().map(|it| it.what.as_str()).collect();
        println!("{bug:?}: {} of {} runs", found.len(), report.runs);
        assert!(
            found.iter().any(|it| it.contains(told)),
            "{bug:?}: {found:#?}"
        );
    }
}

/// A bench with a list, at which nothing is counted: what a run shows is looked at alone.
struct Lists(Bench);

impl World for Lists {
    fn handlers(&self) -> Handlers {
        self.0.handlers()
    }

    fn input(&self) -> bytes::Bytes {
        bytes::Bytes::from_static(br#"{"items": [1, 2, 3]}"#)
    }

    async fn check(&self, _: &SagaStatus) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn items_of_lists_have_keys_of_their_own_and_their_outputs_are_those_of_the_list() {
    let run = async || {
        let list = step("b").after("a").for_each("/items");
        let definition = define(
            Options::default(),
            vec![step("a"), list, step("c").after("b")],
        );
        let report = Sweep::new(definition, async || Lists(Bench::new(Way::Right)));
        let report = report.run().await;
        // No fault is put into single items.
        let mut found = report.failures;
        found.retain(|it| !it.what.starts_with("its fault did not happen"));
        found
    };
    let found = run().await;
    assert!(found.is_empty(), "{found:#?}");
    SagaBug::plant(Some(SagaBug::ItemKeysShared));
    let found = run().await;
    SagaBug::plant(None);
    let told = "`b[0]` and `b[1]` have the key ";
    assert!(
        found.iter().any(|it| it.what.starts_with(told)),
        "{found:#?}"
    );
}
