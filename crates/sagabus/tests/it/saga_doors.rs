//! The doors to a definition: by builder, typed builder, attribute, JSON and YAML it is one, and what has types keeps them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::Embedded;
use sagabus::saga::typed::{Compensation, Handle, Saga, StepCall};
use sagabus::saga::{
    CompensationContext, Definition, DefinitionError, Handlers, SagaStatus, Status, Step,
    StepContext, StepError,
};
use sagabus::{Sagas, SystemClock, saga, saga_steps};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::Notes;

#[derive(Serialize, Deserialize)]
struct Order {
    sample: String,
    /// The step that is to fail.
    fails: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Slot {
    bench: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Weight {
    grams: f64,
}

const YAML: &str = "
name: processing
steps:
- id: reserve
  name: Reserve a slot
  service: lab
  action: reserve
  compensationAction: release
  timeout: 30s
  retryAttempts: 2
  retryDelay: 5
- {id: weigh, service: lab, action: weigh}
- id: label
  service: lab
  action: label
  compensationAction: remove_label
  version: 2
  dependencies: [reserve, weigh]
- {id: note, service: lab, action: note, dependencies: [label]}
";

/// The handlers of the typed builder and of the attribute do the same.
#[derive(Clone)]
struct Lab {
    notes: Notes,
}

impl Lab {
    fn work(&self, order: &Order, step: &str) -> Result<(), StepError> {
        if order.fails.as_deref() == Some(step) {
            return Err(StepError::Reject(format!("no {step} today")));
        }
        self.notes.add(format!("{step} {}", order.sample));
        Ok(())
    }
}

#[saga_steps(service = "lab")]
impl Lab {
    #[step(
        name = "Reserve a slot",
        compensated_by = release,
        timeout = "30s",
        retries = 2,
        retry_delay = "5ms"
    )]
    async fn reserve(&self, call: StepContext, #[input] order: Order) -> Result<Slot, StepError> {
        assert!(call.key().ends_with("/reserve"));
        self.work(&order, "reserve")?;
        Ok(Slot { bench: 4 })
    }

    #[compensation]
    async fn release(
        &self,
        #[output] slot: Option<Slot>,
        call: CompensationContext,
    ) -> Result<(), StepError> {
        let bench = slot.map(|slot| slot.bench);
        self.notes
            .add(format!("release {bench:?}: {}", call.reason()));
        Ok(())
    }

    #[step]
    async fn weigh(&self, #[input] order: Order) -> Result<Weight, StepError> {
        self.work(&order, "weigh")?;
        Ok(Weight { grams: 1.5 })
    }

    #[step(compensated_by = remove_label, version = 2)]
    async fn label(
        &self,
        #[output_of(reserve)] slot: Slot,
        #[input] order: Order,
        #[output_of(weigh)] weight: Weight,
    ) -> Result<String, StepError> {
        self.work(&order, "label")?;
        Ok(format!("{} g at {}", weight.grams, slot.bench))
    }

    #[compensation]
    async fn remove_label(&self, #[output] label: Option<String>) -> Result<(), StepError> {
        self.notes
            .add(format!("remove {}", label.unwrap_or_default()));
        Ok(())
    }

    #[step(after = [label])]
    async fn note(&self, #[input] order: Order) -> Result<(), StepError> {
        self.work(&order, "note")
    }

    /// No step: left as it is.
    fn notes(&self) -> Vec<String> {
        self.notes.all()
    }
}

fn typed(lab: &Lab) -> (Definition, Handlers) {
    let own = || lab.clone();
    let mut saga = Saga::<Order>::define("processing");
    let (run, back) = (own(), own());
    let slot = saga
        .step("reserve")
        .name("Reserve a slot")
        .service("lab")
        .timeout(Duration::from_secs(30))
        .retries(2)
        .retry_delay(Duration::from_millis(5))
        .run(move |call: StepCall<Order, ()>| {
            let lab = run.clone();
            async move {
                assert!(call.key().ends_with("/reserve"));
                lab.work(&call.input, "reserve")?;
                Ok(Slot { bench: 4 })
            }
        })
        .compensated_by("release", move |call: Compensation<Order, Slot>| {
            let lab = back.clone();
            async move {
                let bench = call.output.as_ref().map(|slot| slot.bench);
                lab.notes
                    .add(format!("release {bench:?}: {}", call.reason()));
                Ok(())
            }
        })
        .done();
    let run = own();
    let weight = saga
        .step("weigh")
        .service("lab")
        .run(move |call: StepCall<Order, ()>| {
            let done = run.work(&call.input, "weigh");
            async move { done.map(|()| Weight { grams: 1.5 }) }
        })
        .done();
    let (run, back) = (own(), own());
    let label = saga
        .step("label")
        .service("lab")
        .version(NonZeroU32::new(2).unwrap())
        .needs((&slot, &weight))
        .run(move |call: StepCall<Order, (Slot, Weight)>| {
            let done = run.work(&call.input, "label");
            async move {
                let (slot, weight) = call.needs;
                done.map(|()| format!("{} g at {}", weight.grams, slot.bench))
            }
        })
        .compensated_by("remove_label", move |call: Compensation<Order, String>| {
            back.notes
                .add(format!("remove {}", call.output.unwrap_or_default()));
            async { Ok(()) }
        })
        .done();
    assert_eq!(label.id(), "label");
    let run = own();
    saga.step("note")
        .service("lab")
        .after(&label)
        .run(move |call: StepCall<Order, ()>| {
            let done = run.work(&call.input, "note");
            async move { done }
        })
        .done();
    saga.build().unwrap()
}

fn built() -> Definition {
    let reserve = Step::new("reserve")
        .name("Reserve a slot")
        .service("lab")
        .compensated_by("release")
        .timeout(Duration::from_secs(30))
        .retries(2)
        .retry_delay(Duration::from_millis(5));
    let label = Step::new("label")
        .service("lab")
        .version(NonZeroU32::new(2).unwrap())
        .compensated_by("remove_label");
    Definition::builder("processing")
        .step(reserve)
        .step(Step::new("weigh").service("lab"))
        .step(label.after("reserve").after("weigh"))
        .step(Step::new("note").service("lab").after("label"))
        .build()
        .unwrap()
}

fn lab() -> Lab {
    Lab {
        notes: Notes::default(),
    }
}

#[test]
fn builder_typed_builder_attribute_json_and_yaml_give_one_definition_with_one_hash() {
    let yaml = Definition::from_yaml(YAML).unwrap();
    let json = Definition::from_json(&yaml.to_json()).unwrap();
    let by_attribute = Lab::definition("processing").unwrap();
    let by_types = typed(&lab()).0;
    for (door, definition) in [
        ("builder", built()),
        ("typed builder", by_types),
        ("attribute", by_attribute),
        ("json", json),
    ] {
        assert_eq!(definition.steps(), yaml.steps(), "{door}");
        assert_eq!(definition.to_json(), yaml.to_json(), "{door}");
        assert_eq!(definition.hash(), yaml.hash(), "{door}");
    }
}

#[test]
fn the_attribute_gives_the_json_schema_of_each_output() {
    let schemas = Lab::schemas();
    let ids = schemas.each_ref().map(|(id, _)| *id);
    assert_eq!(ids, ["reserve", "weigh", "label", "note"]);
    let kinds = schemas.map(|(_, schema)| schema.as_value()["type"].clone());
    assert_eq!(kinds, ["object", "object", "string", "null"]);
}

/// Runs one saga of the definition to its end.
async fn run(definition: &Definition, handlers: Handlers, fails: Option<&str>) -> SagaStatus {
    let clock = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(clock.clone()).unwrap());
    let sagas = Sagas::builder(engine, clock)
        .handlers(handlers)
        .open()
        .await;
    let sagas = sagas.unwrap();
    let order = Order {
        sample: "S-1".to_owned(),
        fails: fails.map(str::to_owned),
    };
    let start = saga::Start::new(serde_json::to_vec(&order).unwrap());
    let id = sagas.start(definition, start).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    sagas.shutdown(Duration::from_secs(5)).await;
    status
}

#[tokio::test]
async fn typed_inputs_and_outputs_reach_steps_and_compensations_whichever_door_made_them() {
    let by_attribute = lab();
    let by_types = lab();
    let (definition, handlers) = typed(&by_types);
    let doors = [
        (&by_attribute, Arc::new(by_attribute.clone()).handlers()),
        (&by_types, handlers),
    ];
    for (lab, handlers) in doors {
        let status = run(&definition, handlers.clone(), None).await;
        assert_eq!(status.status, Status::Completed, "{status:?}");
        let label = status.steps[2].output.as_deref();
        assert_eq!(label, Some(&b"\"1.5 g at 4\""[..]));
        let mut notes = lab.notes();
        // The first two run side by side.
        notes[..2].sort();
        assert_eq!(notes, ["reserve S-1", "weigh S-1", "label S-1", "note S-1"]);

        let before = lab.notes().len();
        let status = run(&definition, handlers, Some("note")).await;
        assert_eq!(status.status, Status::Compensated, "{status:?}");
        let notes = lab.notes().split_off(before);
        assert_eq!(
            notes[3..],
            [
                "remove 1.5 g at 4",
                "release Some(4): step `note` failed: no note today",
            ]
        );
    }
}

#[test]
fn a_handle_of_another_saga_is_no_dependency_of_this_one() {
    let step = |saga: &mut Saga<Order>| -> Handle<u32> {
        let step = saga
            .step("a")
            .run(|_: StepCall<Order, ()>| async { Ok(1_u32) });
        step.done()
    };
    let mut other = Saga::<Order>::define("other");
    let foreign = step(&mut other);
    let mut own = Saga::<Order>::define("own");
    step(&mut own);
    let needs = own.step("b").needs((&foreign,));
    needs
        .run(|_: StepCall<Order, (u32,)>| async { Ok(()) })
        .done();
    let error = own.build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "step `b` depends on `other/a`, which is not a step"
    );
    assert_eq!(error.place.path, "steps[1].dependencies[0]");
    assert!(matches!(
        error.fault,
        DefinitionError::UnknownDependency { .. }
    ));
}

#[tokio::test]
async fn an_input_that_does_not_fit_its_type_fails_the_step_and_calls_no_handler() {
    let lab = lab();
    let (definition, handlers) = typed(&lab);
    let clock = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(clock.clone()).unwrap());
    let sagas = Sagas::builder(engine, clock)
        .handlers(handlers)
        .open()
        .await;
    let sagas = sagas.unwrap();
    let start = saga::Start::new(&b"{\"sample\": 1}"[..]);
    let id = sagas.start(&definition, start).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated, "{status:?}");
    assert_eq!(lab.notes(), [""; 0]);
    let (one, two) = (lab.clone(), Arc::new(lab.clone()));
    let twice = typed(&one).1.and(two.handlers());
    let clock = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(clock.clone()).unwrap());
    let error = Sagas::builder(engine, clock).handlers(twice).open().await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("is registered twice"), "{text}");
}
