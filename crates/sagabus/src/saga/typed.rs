//! The typed way to a definition: a step's output has a type, and what a step needs is an edge and its typed input at once.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::definition::{Child, Definition, InvalidDefinition, Options, Step, Wait};
use super::handlers::{CallContext, CompensationContext, Handlers, Output, StepContext, StepError};

/// A saga that is being put together, started with an `In`. [`Saga::build`] gives its definition and its handlers.
///
/// ```
/// use std::time::Duration;
/// use sagabus::saga::{Definition, StepError};
/// use sagabus::saga::typed::{Compensation, Saga, StepCall};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// struct Order { sample: String }
/// #[derive(Serialize, Deserialize)]
/// struct Slot { bench: u32 }
/// #[derive(Serialize, Deserialize)]
/// struct Run { reads: u64 }
///
/// async fn reserve(call: StepCall<Order, ()>) -> Result<Slot, StepError> {
///     assert!(!call.input.sample.is_empty());
///     Ok(Slot { bench: 4 })
/// }
/// async fn release(call: Compensation<Order, Slot>) -> Result<(), StepError> {
///     // None: whether the step happened is not known.
///     let _bench = call.output.map(|slot| slot.bench);
///     Ok(())
/// }
/// async fn process(call: StepCall<Order, (Slot,)>) -> Result<Run, StepError> {
///     let (slot,) = call.needs;
///     Ok(Run { reads: u64::from(slot.bench) * 1_000 })
/// }
///
/// let mut saga = Saga::<Order>::define("processing");
/// let slot = saga.step("reserve").service("lab").retries(2).run(reserve).compensated_by("release", release).done();
/// let run = saga.step("process").service("lab").timeout(Duration::from_secs(300)).needs((&slot,)).run(process).done();
/// saga.step("note").service("lab").needs((&slot, &run)).run(async |call| {
///     let (_slot, run) = call.needs;
///     Ok(run.reads)
/// }).done();
/// let (definition, _handlers) = saga.build()?;
///
/// let written = Definition::from_yaml("
/// name: processing
/// steps:
/// - {id: reserve, service: lab, action: reserve, compensationAction: release, retryAttempts: 2}
/// - {id: process, service: lab, action: process, timeout: 5m, dependencies: [reserve]}
/// - {id: note, service: lab, action: note, dependencies: [reserve, process]}
/// ")?;
/// assert_eq!(definition.hash(), written.hash());
/// # Ok::<(), sagabus::saga::InvalidDefinition>(())
/// ```
///
/// A step can be done for each item of a list, or be a saga of its own; what then comes in is typed too:
///
/// ```
/// # use sagabus::saga::{Definition, Options, StepError};
/// # use sagabus::saga::typed::{Saga, StepCall};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Deserialize)]
/// struct Order { samples: Vec<String> }
/// #[derive(Serialize, Deserialize)]
/// struct Inspected { look: bool }
///
/// async fn weigh(call: StepCall<Order, (), String>) -> Result<usize, StepError> {
///     Ok(call.item.len())
/// }
///
/// let mut inspection = Saga::<Order>::define("inspection");
/// inspection.step("look").service("lab").run(async |call| Ok(!call.input.samples.is_empty())).done();
///
/// let options = Options { event_input: vec!["/samples/0".to_owned()], ..Options::default() };
/// let mut saga = Saga::<Order>::define("processing").options(options);
/// let weights = saga.step("weigh").service("lab").for_each("/samples").run(weigh).done();
/// let inspected = saga.step("inspect").child::<_, Inspected>(inspection).done();
/// saga.step("sum").service("lab").needs((&weights, &inspected)).run(async |call| {
///     // None: an operator skipped it.
///     let (weights, inspected): (Vec<Option<usize>>, Inspected) = call.needs;
///     Ok(inspected.look.then(|| weights.into_iter().flatten().sum::<usize>()))
/// }).done();
/// let (definition, _handlers) = saga.build()?;
///
/// let written = Definition::from_yaml("
/// name: processing
/// eventInput: [/samples/0]
/// steps:
/// - {id: weigh, service: lab, action: weigh, forEach: {from: /samples}}
/// - {id: inspect, child: {definition: {name: inspection, steps: [{id: look, service: lab, action: look}]}}}
/// - {id: sum, service: lab, action: sum, dependencies: [weigh, inspect]}
/// ")?;
/// assert_eq!(definition.hash(), written.hash());
/// # Ok::<(), sagabus::saga::InvalidDefinition>(())
/// ```
///
/// A handler that takes something else than what its step needs does not compile:
///
/// ```compile_fail,E0631
/// # use sagabus::saga::StepError;
/// # use sagabus::saga::typed::{Saga, StepCall};
/// # struct Order;
/// # impl<'de> serde::Deserialize<'de> for Order {
/// #     fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> { Ok(Self) }
/// # }
/// let mut saga = Saga::<Order>::define("processing");
/// let bench = saga.step("reserve").run(async |_| Ok(4_u32)).done();
/// async fn process(call: StepCall<Order, (String,)>) -> Result<u64, StepError> { Ok(1) }
/// saga.step("process").needs((&bench,)).run(process).done();
/// ```
///
/// Nor does a compensation for another output:
///
/// ```compile_fail,E0631
/// # use sagabus::saga::StepError;
/// # use sagabus::saga::typed::{Compensation, Saga};
/// # struct Order;
/// # impl<'de> serde::Deserialize<'de> for Order {
/// #     fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> { Ok(Self) }
/// # }
/// async fn release(call: Compensation<Order, String>) -> Result<(), StepError> { Ok(()) }
/// let mut saga = Saga::<Order>::define("processing");
/// saga.step("reserve").run(async |_| Ok(4_u32)).compensated_by("release", release).done();
/// ```
#[must_use]
pub struct Saga<In> {
    /// Tells the handles of one saga from those of another.
    brand: Arc<str>,
    steps: Vec<Step>,
    options: Options,
    handlers: Handlers,
    /// Why a saga inside it is none.
    fault: Option<InvalidDefinition>,
    input: PhantomData<fn(In)>,
}

/// A step whose output is an `Out`: what other steps need.
pub struct Handle<Out> {
    brand: Arc<str>,
    id: Arc<str>,
    output: PhantomData<fn() -> Out>,
}

/// What a step's handler is given. The rest of [`StepContext`] is behind it: key, attempt, deadline.
#[derive(Debug)]
#[non_exhaustive]
pub struct StepCall<In, Needed, Item = ()> {
    /// What the saga was started with.
    pub input: In,
    /// The item that the step is done for, where it is done for each item of a list.
    pub item: Item,
    /// The outputs of the steps that this one needs, in their order.
    pub needs: Needed,
    context: StepContext,
}

/// What a compensation is given. The rest of [`CompensationContext`] is behind it: keys, attempt, reason.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compensation<In, Out, Item = ()> {
    /// What the saga was started with.
    pub input: In,
    /// The item that the step was done for, where it was done for each item of a list.
    pub item: Item,
    /// What the step returned. None: it is not known whether the step happened, so look before you take back.
    pub output: Option<Out>,
    context: CompensationContext,
}

impl<In: DeserializeOwned + Send + 'static> Saga<In> {
    /// Begins the saga called `name`.
    pub fn define(name: impl Into<String>) -> Self {
        Self {
            brand: name.into().into(),
            steps: Vec::new(),
            options: Options::default(),
            handlers: Handlers::new(),
            fault: None,
            input: PhantomData,
        }
    }

    /// Says what holds for all steps.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Begins a step. It is added by [`ReadyStep::done`].
    pub fn step(&mut self, id: impl Into<String>) -> NewStep<'_, In, ()> {
        NewStep {
            step: Step::new(id),
            needs: (),
            saga: self,
            kind: PhantomData,
        }
    }

    fn add(&mut self, handlers: Handlers) {
        let all = std::mem::take(&mut self.handlers);
        self.handlers = all.and(handlers);
    }

    /// The definition, and the handlers that do its steps.
    ///
    /// # Errors
    /// As [`Definition::from_steps`]. A handle of another saga is an unknown dependency. The first of a saga inside it.
    pub fn build(self) -> Result<(Definition, Handlers), InvalidDefinition> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let steps = self.steps.into_iter();
        let builder = Definition::builder(&*self.brand).options(self.options);
        let definition = steps.fold(builder, |builder, step| builder.step(step));
        Ok((definition.build()?, self.handlers))
    }
}

/// A step that is done once.
#[derive(Debug)]
pub enum Once {}

/// A step that is done for each item of a list, each of them a `T`.
#[derive(Debug)]
pub struct Each<T>(PhantomData<fn() -> T>);

/// How often a step is done: [`Once`], or for [`Each`] item of a list.
pub trait Kind: sealed::Sealed + 'static {
    /// What it is done for; nothing where it is done once.
    type Item: Send + 'static;
    /// Its output, where each time gives an `Out`. Of a list, those of the items in their order; none is one that an operator
    /// skipped.
    type Output<Out>;
    /// What a saga that it is, is started with, where the saga around it was started with an `In`.
    type Given<In>;

    #[doc(hidden)]
    fn item(context: &CallContext) -> Result<Self::Item, StepError>;
}

impl sealed::Sealed for Once {}

impl Kind for Once {
    type Item = ();
    type Output<Out> = Out;
    type Given<In> = In;

    fn item(_: &CallContext) -> Result<Self::Item, StepError> {
        Ok(())
    }
}

impl<T> sealed::Sealed for Each<T> {}

impl<T: DeserializeOwned + Send + 'static> Kind for Each<T> {
    type Item = T;
    type Output<Out> = Vec<Option<Out>>;
    type Given<In> = T;

    fn item(context: &CallContext) -> Result<Self::Item, StepError> {
        context.item_as()
    }
}

/// A step that has no handler yet.
#[must_use]
pub struct NewStep<'a, In, N, K = Once> {
    saga: &'a mut Saga<In>,
    step: Step,
    needs: N,
    kind: PhantomData<K>,
}

impl<'a, In: DeserializeOwned + Send + 'static, N: Needs> NewStep<'a, In, N> {
    /// Does the step for each item of the list at `pointer` in the saga's input, as [`Step::for_each`].
    pub fn for_each<T>(self, pointer: impl Into<String>) -> NewStep<'a, In, N, Each<T>> {
        self.of_kind(|step| step.for_each(pointer))
    }

    /// Does the step for each item of the list at `pointer` in the output of `list`, which then comes before it, as
    /// [`Step::for_each_of`].
    pub fn for_each_of<T, Out>(
        self,
        list: &Handle<Out>,
        pointer: impl Into<String>,
    ) -> NewStep<'a, In, N, Each<T>> {
        let id = list.id_in(&self.saga.brand);
        self.of_kind(|step| step.for_each_of(id.clone(), pointer).after(id))
    }

    fn of_kind<K>(self, more: impl FnOnce(Step) -> Step) -> NewStep<'a, In, N, K> {
        NewStep {
            saga: self.saga,
            step: more(self.step),
            needs: self.needs,
            kind: PhantomData,
        }
    }
}

impl<'a, In: DeserializeOwned + Send + 'static, N: Needs, T> NewStep<'a, In, N, Each<T>> {
    /// As [`Step::at_a_time`].
    pub fn at_a_time(mut self, concurrency: NonZeroU32) -> Self {
        self.step = self.step.at_a_time(concurrency);
        self
    }
}

impl<'a, In: DeserializeOwned + Send + 'static, N: Needs, K: Kind> NewStep<'a, In, N, K> {
    /// As [`Step::name`].
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with(|step| step.name(name))
    }

    /// As [`Step::service`].
    pub fn service(self, service: impl Into<String>) -> Self {
        self.with(|step| step.service(service))
    }

    /// As [`Step::action`].
    pub fn action(self, action: impl Into<String>) -> Self {
        self.with(|step| step.action(action))
    }

    /// As [`Step::version`]; what does the step and takes it back is of this version.
    pub fn version(self, version: NonZeroU32) -> Self {
        self.with(|step| step.version(version))
    }

    /// As [`Step::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|step| step.timeout(timeout))
    }

    /// As [`Step::retries`].
    pub fn retries(self, retries: u32) -> Self {
        self.with(|step| step.retries(retries))
    }

    /// As [`Step::retry_delay`].
    pub fn retry_delay(self, delay: Duration) -> Self {
        self.with(|step| step.retry_delay(delay))
    }

    /// Starts only after `step`, whose output it does not need.
    pub fn after<Out>(self, step: &Handle<Out>) -> Self {
        let id = step.id_in(&self.saga.brand);
        self.with(|step| step.after(id))
    }

    /// Says anything else of the step that a definition can say.
    pub fn with(mut self, more: impl FnOnce(Step) -> Step) -> Self {
        self.step = more(self.step);
        self
    }

    /// The steps that must have succeeded before, as a tuple of up to eight handles: their outputs are the step's input.
    pub fn needs<M: Needs>(self, needs: M) -> NewStep<'a, In, M, K> {
        NewStep {
            saga: self.saga,
            step: self.step,
            needs,
            kind: PhantomData,
        }
    }

    /// Waits for this instead of doing something, and then has what that gives: the payload of a signal, or `null`.
    pub fn waits<Out>(mut self, wait: Wait) -> ReadyStep<'a, In, Out, K> {
        self.depend();
        self.step = self.step.waiting(wait);
        self.ready()
    }

    /// Starts a saga and waits for its end, with what [`Saga::build`] gives of it: its handlers are among those of this one. It is
    /// given what this one was started with, or of a list the item; `Out` has the outputs of its steps by their ids. One with
    /// another input is a [`Wait::Child`] of [`NewStep::waits`].
    pub fn child<C, Out>(self, child: Saga<C>) -> ReadyStep<'a, In, Out, K>
    where
        C: DeserializeOwned + Send + 'static,
        K: Kind<Given<In> = C>,
    {
        match child.build() {
            Ok((definition, handlers)) => {
                self.saga.add(handlers);
                let (from, step) = (String::new(), None);
                self.waits(Wait::Child(Child {
                    definition,
                    from,
                    step,
                }))
            }
            Err(fault) => {
                let fault = fault.in_child_of(self.saga.steps.len());
                self.saga.fault.get_or_insert(fault);
                self.ready()
            }
        }
    }

    /// Adds what the step needs to what it comes after, each once.
    fn depend(&mut self) -> Vec<String> {
        let needed = self.needs.ids(&self.saga.brand);
        for id in &needed {
            if !self.step.dependencies.contains(id) {
                self.step.dependencies.push(id.clone());
            }
        }
        needed
    }

    fn ready<Out>(self) -> ReadyStep<'a, In, Out, K> {
        ReadyStep {
            saga: self.saga,
            step: self.step,
            output: PhantomData,
        }
    }

    /// What the step does.
    pub fn run<F, Fut, Out>(mut self, handler: F) -> ReadyStep<'a, In, Out, K>
    where
        F: Fn(StepCall<In, N::Outputs, K::Item>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Out, StepError>> + Send + 'static,
        Out: Serialize + DeserializeOwned + 'static,
    {
        let needed = self.depend();
        let handle = move |context: StepContext| {
            let call = StepCall::read::<N, K>(context, &needed).map(&handler);
            async move { Output::json(&call?.await?) }
        };
        let own = Handlers::new().handle(&self.step.service, &self.step.action, handle);
        self.saga.add(own.of(self.step.version));
        self.ready()
    }
}

/// A step that can be added.
#[must_use]
pub struct ReadyStep<'a, In, Out, K = Once> {
    saga: &'a mut Saga<In>,
    step: Step,
    output: PhantomData<fn() -> (Out, K)>,
}

impl<In, Out, K> ReadyStep<'_, In, Out, K>
where
    In: DeserializeOwned + Send + 'static,
    Out: DeserializeOwned + 'static,
    K: Kind,
{
    /// What takes the step back.
    pub fn compensated_by<F, Fut>(mut self, action: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Compensation<In, Out, K::Item>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), StepError>> + Send + 'static,
    {
        let action = action.into();
        let handle = move |context: CompensationContext| {
            let call = Compensation::read::<K>(context).map(&handler);
            async move { call?.await }
        };
        let own = Handlers::new().compensate(&self.step.service, &action, handle);
        self.saga.add(own.of(self.step.version));
        self.step = self.step.compensated_by(action);
        self
    }

    /// Adds the step.
    #[expect(clippy::must_use_candidate, reason = "nothing needs the last step")]
    pub fn done(self) -> Handle<K::Output<Out>> {
        let id = self.step.id.as_str().into();
        self.saga.steps.push(self.step);
        Handle {
            brand: Arc::clone(&self.saga.brand),
            id,
            output: PhantomData,
        }
    }
}

impl<In: DeserializeOwned, Needed, Item> StepCall<In, Needed, Item> {
    fn read<N: Needs<Outputs = Needed>, K: Kind<Item = Item>>(
        context: StepContext,
        needed: &[String],
    ) -> Result<Self, StepError> {
        Ok(Self {
            input: context.input_as()?,
            item: K::item(&context)?,
            needs: N::outputs(&context, needed)?,
            context,
        })
    }
}

impl<In: DeserializeOwned, Out: DeserializeOwned, Item> Compensation<In, Out, Item> {
    fn read<K: Kind<Item = Item>>(context: CompensationContext) -> Result<Self, StepError> {
        Ok(Self {
            input: context.input_as()?,
            item: K::item(&context)?,
            output: context.step_output_as()?,
            context,
        })
    }
}

impl<In, Needed, Item> Deref for StepCall<In, Needed, Item> {
    type Target = StepContext;

    fn deref(&self) -> &StepContext {
        &self.context
    }
}

impl<In, Out, Item> Deref for Compensation<In, Out, Item> {
    type Target = CompensationContext;

    fn deref(&self) -> &CompensationContext {
        &self.context
    }
}

impl<Out> Handle<Out> {
    /// The id of the step.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its id for a step of the saga with `brand`. Elsewhere it is one that no step can have.
    fn id_in(&self, brand: &Arc<str>) -> String {
        match Arc::ptr_eq(&self.brand, brand) {
            true => self.id.to_string(),
            false => format!("{}/{}", self.brand, self.id),
        }
    }
}

/// Handles that a step can need: tuples of up to eight.
pub trait Needs: sealed::Sealed {
    /// Their outputs, in their order.
    type Outputs: Send + 'static;

    #[doc(hidden)]
    fn ids(&self, brand: &Arc<str>) -> Vec<String>;

    #[doc(hidden)]
    fn outputs(context: &CallContext, ids: &[String]) -> Result<Self::Outputs, StepError>;
}

/// The JSON Schema of what a step returns.
pub type Schema = schemars::Schema;

/// The JSON Schema of a `T`.
#[must_use]
pub fn schema_of<T: schemars::JsonSchema>() -> Schema {
    schemars::schema_for!(T)
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for () {}

impl Needs for () {
    type Outputs = ();

    fn ids(&self, _: &Arc<str>) -> Vec<String> {
        Vec::new()
    }

    fn outputs(_: &CallContext, _: &[String]) -> Result<Self::Outputs, StepError> {
        Ok(())
    }
}

/// Implements [`Needs`] for a tuple: there is no other way to say "any number of types".
macro_rules! needs {
    ($($out:ident $at:tt),*) => {
        impl<$($out),*> sealed::Sealed for ($(&Handle<$out>,)*) {}

        impl<$($out: DeserializeOwned + Send + 'static),*> Needs for ($(&Handle<$out>,)*) {
            type Outputs = ($($out,)*);

            fn ids(&self, brand: &Arc<str>) -> Vec<String> {
                vec![$(self.$at.id_in(brand)),*]
            }

            fn outputs(context: &CallContext, ids: &[String]) -> Result<Self::Outputs, StepError> {
                let id = |at: usize| ids.get(at).map_or("", String::as_str);
                Ok(($(context.output_as::<$out>(id($at))?,)*))
            }
        }
    };
}

needs!(A 0);
needs!(A 0, B 1);
needs!(A 0, B 1, C 2);
needs!(A 0, B 1, C 2, D 3);
needs!(A 0, B 1, C 2, D 3, E 4);
needs!(A 0, B 1, C 2, D 3, E 4, F 5);
needs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
needs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

impl<In> fmt::Debug for Saga<In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saga")
            .field("name", &self.brand)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl<In, N, K> fmt::Debug for NewStep<'_, In, N, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NewStep").field(&self.step).finish()
    }
}

impl<In, Out, K> fmt::Debug for ReadyStep<'_, In, Out, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadyStep").field(&self.step).finish()
    }
}

impl<Out> fmt::Debug for Handle<Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.id).finish()
    }
}
