//! The doors to a definition: by builder, typed builder, attribute, JSON and YAML it is one, and what has types keeps them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::Embedded;
use sagabus::saga::typed::{Compensation, Handle, Saga, StepCall};
use sagabus::saga::{
    Child, CompensationContext, Definition, DefinitionError, Handlers, InvalidDefinition, Options,
    SagaStatus, Status, Step, StepContext, StepError, Wait,
};
use sagabus::{Sagas, SystemClock, saga, saga_steps};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::Notes;

#[derive(Clone, Serialize, Deserialize)]
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
    let order = Order {
        sample: "S-1".to_owned(),
        fails: fails.map(str::to_owned),
    };
    run_with(definition, handlers, serde_json::to_vec(&order).unwrap()).await
}

async fn run_with(definition: &Definition, handlers: Handlers, input: Vec<u8>) -> SagaStatus {
    let clock = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(clock.clone()).unwrap());
    let sagas = Sagas::builder(engine, clock)
        .handlers(handlers)
        .open()
        .await;
    let sagas = sagas.unwrap();
    let id = sagas
        .start(definition, saga::Start::new(input))
        .await
        .unwrap();
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

/// What a saga with lists, sagas inside it and input in its events is started with.
#[derive(Clone, Serialize, Deserialize)]
struct Batch {
    id: String,
    samples: Vec<Order>,
    order: Order,
}

/// What the saga inside it did.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Inspected {
    look: u32,
}

const NESTED: &str = "
name: batch
eventInput: [/id]
steps:
- id: weigh
  service: lab
  action: weigh
  compensationAction: unweigh
  forEach: {from: /samples, concurrency: 2}
- id: label
  service: lab
  action: label
  dependencies: [weigh]
  forEach: {from: '', step: weigh}
- id: inspect
  service: lab
  compensationAction: forget
  child:
    from: /order
    definition:
      name: inspection
      steps: [{id: look, service: lab, action: look}]
- id: again
  service: lab
  forEach: {from: /samples}
  child:
    definition:
      name: inspection
      steps: [{id: look, service: lab, action: look}]
- {id: sum, service: lab, action: sum, dependencies: [weigh, label, inspect, again]}
";

#[derive(Clone)]
struct Inner(Lab);

#[saga_steps(service = "lab")]
impl Inner {
    #[step]
    async fn look(&self, #[input] order: Order) -> Result<u32, StepError> {
        self.0.work(&order, "look")?;
        Ok(7)
    }
}

#[derive(Clone)]
struct Outer(Lab);

#[saga_steps(
    service = "lab",
    options = Options { event_input: vec!["/id".to_owned()], ..Options::default() }
)]
impl Outer {
    #[step(for_each = "/samples", at_a_time = 2, compensated_by = unweigh)]
    async fn weigh(&self, #[item] sample: Order) -> Result<Weight, StepError> {
        self.0.work(&sample, "weigh")?;
        Ok(Weight { grams: 0.5 })
    }

    #[compensation]
    async fn unweigh(
        &self,
        #[item] sample: Order,
        #[output] weight: Option<Weight>,
    ) -> Result<(), StepError> {
        let grams = weight.map(|it| it.grams);
        self.0
            .notes
            .add(format!("unweigh {} {grams:?}", sample.sample));
        Ok(())
    }

    #[step(for_each = "", list_of = weigh)]
    async fn label(
        &self,
        #[item] weight: Option<Weight>,
        #[input] batch: Batch,
    ) -> Result<String, StepError> {
        self.0.work(&batch.order, "label")?;
        Ok(format!("{:?} g", weight.map(|it| it.grams)))
    }

    #[child(given = "/order", compensated_by = forget)]
    fn inspect() -> Result<Definition, InvalidDefinition> {
        Inner::definition("inspection")
    }

    #[compensation]
    async fn forget(&self, #[output] inspected: Option<Inspected>) -> Result<(), StepError> {
        let look = inspected.map(|it| it.look);
        self.0.notes.add(format!("forget {look:?}"));
        Ok(())
    }

    #[child(for_each = "/samples")]
    fn again() -> Result<Definition, InvalidDefinition> {
        Inner::definition("inspection")
    }

    #[step]
    async fn sum(
        &self,
        #[output_of(weigh)] weights: Vec<Option<Weight>>,
        #[output_of(label)] labels: Vec<Option<String>>,
        #[output_of(inspect)] inspected: Inspected,
        #[output_of(again)] again: Vec<Option<Inspected>>,
        #[input] batch: Batch,
    ) -> Result<String, StepError> {
        self.0.work(&batch.order, "sum")?;
        let grams: f64 = weights.iter().flatten().map(|it| it.grams).sum();
        let looks = again.iter().flatten().map(|it| it.look).sum::<u32>() + inspected.look;
        let labels: Vec<String> = labels.into_iter().flatten().collect();
        Ok(format!("{grams} g, {looks} looks, {}", labels.join(", ")))
    }
}

/// What `sum` needs.
type Summed = (
    Vec<Option<Weight>>,
    Vec<Option<String>>,
    Inspected,
    Vec<Option<Inspected>>,
);

/// The same by the typed builder.
fn typed_batch(lab: &Lab) -> (Definition, Handlers) {
    let own = || lab.clone();
    let options = Options {
        event_input: vec!["/id".to_owned()],
        ..Options::default()
    };
    let mut saga = Saga::<Batch>::define("batch").options(options);
    let (run, back) = (own(), own());
    let weights = saga
        .step("weigh")
        .service("lab")
        .for_each("/samples")
        .at_a_time(NonZeroU32::new(2).unwrap())
        .run(move |call: StepCall<Batch, (), Order>| {
            let done = run.work(&call.item, "weigh");
            async move { done.map(|()| Weight { grams: 0.5 }) }
        })
        .compensated_by(
            "unweigh",
            move |call: Compensation<Batch, Weight, Order>| {
                let grams = call.output.map(|it| it.grams);
                back.notes
                    .add(format!("unweigh {} {grams:?}", call.item.sample));
                async { Ok(()) }
            },
        )
        .done();
    let run = own();
    let labels = saga
        .step("label")
        .service("lab")
        .for_each_of(&weights, "")
        .run(move |call: StepCall<Batch, (), Option<Weight>>| {
            let done = run.work(&call.input.order, "label");
            let grams = call.item.map(|it| it.grams);
            async move { done.map(|()| format!("{grams:?} g")) }
        })
        .done();
    let (inner, inner_handlers) = {
        let looks = own();
        let mut inner = Saga::<Order>::define("inspection");
        inner
            .step("look")
            .service("lab")
            .run(move |call: StepCall<Order, ()>| {
                let done = looks.work(&call.input, "look");
                async move { done.map(|()| 7_u32) }
            })
            .done();
        inner.build().unwrap()
    };
    let back = own();
    let inspected = saga
        .step("inspect")
        .service("lab")
        .waits::<Inspected>(Wait::Child(Child {
            definition: inner,
            from: "/order".to_owned(),
            step: None,
        }))
        .compensated_by("forget", move |call: Compensation<Batch, Inspected>| {
            let look = call.output.map(|it| it.look);
            back.notes.add(format!("forget {look:?}"));
            async { Ok(()) }
        })
        .done();
    let again = {
        // Its handlers are there already.
        let mut inner = Saga::<Order>::define("inspection");
        let step = inner.step("look").service("lab");
        step.run(async |_| Ok(0_u32)).done();
        inner.build().unwrap().0
    };
    let again = saga
        .step("again")
        .service("lab")
        .for_each::<Order>("/samples")
        .waits::<Inspected>(Wait::Child(Child {
            definition: again,
            from: String::new(),
            step: None,
        }))
        .done();
    let run = own();
    saga.step("sum")
        .service("lab")
        .needs((&weights, &labels, &inspected, &again))
        .run(move |call: StepCall<Batch, Summed>| {
            let done = run.work(&call.input.order, "sum");
            async move {
                done?;
                let (weights, labels, inspected, again) = call.needs;
                let grams: f64 = weights.iter().flatten().map(|it| it.grams).sum();
                let looks = again.iter().flatten().map(|it| it.look).sum::<u32>() + inspected.look;
                let labels: Vec<String> = labels.into_iter().flatten().collect();
                Ok(format!("{grams} g, {looks} looks, {}", labels.join(", ")))
            }
        })
        .done();
    let (definition, handlers) = saga.build().unwrap();
    (definition, handlers.and(inner_handlers))
}

fn built_batch() -> Definition {
    let inner = || {
        let look = Step::new("look").service("lab");
        Definition::from_steps("inspection", vec![look]).unwrap()
    };
    let lab = |id: &str| Step::new(id).service("lab");
    let options = Options {
        event_input: vec!["/id".to_owned()],
        ..Options::default()
    };
    let weigh = lab("weigh").compensated_by("unweigh").for_each("/samples");
    let sum = lab("sum").after("weigh").after("label");
    Definition::builder("batch")
        .options(options)
        .step(weigh.at_a_time(NonZeroU32::new(2).unwrap()))
        .step(lab("label").for_each_of("weigh", "").after("weigh"))
        .step(
            lab("inspect")
                .compensated_by("forget")
                .child(inner())
                .given("/order"),
        )
        .step(lab("again").for_each("/samples").child(inner()))
        .step(sum.after("inspect").after("again"))
        .build()
        .unwrap()
}

#[test]
fn lists_sagas_inside_and_input_of_events_are_one_definition_by_every_door() {
    let yaml = Definition::from_yaml(NESTED).unwrap();
    let json = Definition::from_json(&yaml.to_json()).unwrap();
    for (door, definition) in [
        ("builder", built_batch()),
        ("typed builder", typed_batch(&lab()).0),
        ("attribute", Outer::definition("batch").unwrap()),
        ("json", json),
    ] {
        assert_eq!(definition.steps(), yaml.steps(), "{door}");
        assert_eq!(definition.options(), yaml.options(), "{door}");
        assert_eq!(definition.to_json(), yaml.to_json(), "{door}");
        assert_eq!(definition.hash(), yaml.hash(), "{door}");
    }
    let kinds = Outer::schemas().map(|(id, schema)| (id, schema.as_value()["type"].clone()));
    let kinds = kinds.map(|(id, kind)| format!("{id} {}", kind.as_str().unwrap()));
    assert_eq!(kinds, ["weigh array", "label array", "sum string"]);
}

#[tokio::test]
async fn items_and_outputs_of_lists_and_of_sagas_inside_are_typed_whichever_door_made_them() {
    let (by_attribute, by_types) = (lab(), lab());
    let (definition, typed) = typed_batch(&by_types);
    let attribute = Arc::new(Outer(by_attribute.clone())).handlers();
    let attribute = attribute.and(Arc::new(Inner(by_attribute.clone())).handlers());
    for (lab, handlers) in [(&by_attribute, attribute), (&by_types, typed)] {
        for fails in [None, Some("sum")] {
            let order = |sample: &str, fails: Option<&str>| Order {
                sample: sample.to_owned(),
                fails: fails.map(str::to_owned),
            };
            let batch = Batch {
                id: "B-1".to_owned(),
                samples: vec![order("S-1", None), order("S-2", None)],
                order: order("S-0", fails),
            };
            let before = lab.notes().len();
            let input = serde_json::to_vec(&batch).unwrap();
            let status = run_with(&definition, handlers.clone(), input).await;
            let notes = lab.notes().split_off(before);
            let done = |what: &str| notes.iter().filter(|it| *it == what).count();
            for what in ["weigh S-1", "weigh S-2", "look S-0", "look S-1", "look S-2"] {
                assert_eq!(done(what), 1, "{what}: {notes:?}");
            }
            assert_eq!(done("label S-0"), 2, "{notes:?}");
            if fails.is_none() {
                assert_eq!(status.status, Status::Completed, "{status:?}");
                let sum = status.steps[4].output.as_deref();
                let expected = br#""1 g, 21 looks, Some(0.5) g, Some(0.5) g""#;
                assert_eq!(sum, Some(&expected[..]));
            } else {
                assert_eq!(status.status, Status::Compensated, "{status:?}");
                for what in [
                    "unweigh S-1 Some(0.5)",
                    "unweigh S-2 Some(0.5)",
                    "forget Some(7)",
                ] {
                    assert_eq!(done(what), 1, "{what}: {notes:?}");
                }
            }
        }
    }
}

#[test]
fn a_saga_that_is_none_is_refused_with_its_place_in_the_one_around_it() {
    let mut saga = Saga::<Order>::define("outer");
    saga.step("a").run(async |_| Ok(1_u32)).done();
    let inner = Saga::<Order>::define("inner");
    saga.step("b").child::<_, Inspected>(inner).done();
    let error = saga.build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "saga `inner` has no steps, at `steps[1].child.definition.steps`"
    );
    assert_eq!(error.place.path, "steps[1].child.definition.steps");
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
