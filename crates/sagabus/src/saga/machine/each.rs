//! Steps that are done for each item of a list: the items are steps of their own, behind those of the definition.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{AttemptResult, Draft, Phase, Stage, State, number};
use crate::event::DATA_BYTES_MAX;
use crate::planted::{self, SagaBug};
use crate::saga::definition::ITEMS_MAX;
use crate::saga::handlers::StepError;
use crate::saga::record::{Effect, Fact};

/// The items of one step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spread {
    /// The step.
    pub(super) step: usize,
    /// The position of its first item; the others follow.
    pub(super) first: usize,
    /// What the items are.
    pub(super) items: Vec<Bytes>,
}

impl Spread {
    /// The positions of the items.
    pub(super) fn positions(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.items.len()
    }
}

impl State {
    /// The step of the definition at `position`: for an item, the step that it is an item of.
    #[must_use]
    pub fn origin(&self, position: usize) -> usize {
        self.spread_at(position)
            .map_or(position, |spread| spread.step)
    }

    /// The item of a list that the step at `position` is done for, one JSON value.
    #[must_use]
    pub fn item(&self, position: usize) -> Option<&Bytes> {
        let spread = self.spread_at(position)?;
        spread.items.get(position - spread.first)
    }

    /// The id of the step at `position`; empty when there is none. That of an item has its number behind it, from 0.
    pub(crate) fn step_id(&self, position: usize) -> Cow<'_, str> {
        let id = self.step_of(position).map_or("", |step| step.id.as_str());
        match self.spread_at(position) {
            Some(spread) => format!("{id}[{}]", position - spread.first).into(),
            None => id.into(),
        }
    }

    /// The position of the step with this id.
    #[must_use]
    pub fn position_of(&self, id: &str) -> Option<usize> {
        let steps = self.definition().steps();
        let written = |id: &str| steps.iter().position(|step| step.id == id);
        let Some((step, item)) = id.split_once('[') else {
            return written(id);
        };
        let item: usize = item.strip_suffix(']')?.parse().ok()?;
        let position = self.spread_of(written(step)?)?.positions().nth(item)?;
        // There is one way to write it.
        (self.step_id(position) == id).then_some(position)
    }

    /// Whether the step at `position` is done for each item of a list, and not an item itself.
    pub(crate) fn is_list(&self, position: usize) -> bool {
        let step = self.definition().steps().get(position);
        step.is_some_and(|step| step.for_each.is_some())
    }

    fn spread_at(&self, position: usize) -> Option<&Spread> {
        if position < self.definition().steps().len() {
            return None;
        }
        let after = self.spreads.partition_point(|it| it.first <= position);
        self.spreads.get(after.checked_sub(1)?)
    }

    /// Of an item: its list, where the items of that begin, and how many are under way at one time.
    pub(super) fn place_in_list(&self, position: usize) -> Option<(usize, usize, usize)> {
        let spread = self.spread_at(position)?;
        let list = self.step_of(position)?.for_each.as_ref()?;
        let places = usize::try_from(list.concurrency.get()).unwrap_or(usize::MAX);
        Some((spread.step, spread.first, places))
    }

    /// The items of the step at `step`, once it is spread.
    pub(super) fn spread_of(&self, step: usize) -> Option<&Spread> {
        self.spreads.iter().find(|spread| spread.step == step)
    }

    /// Whether an item of a list is to be started that has a place beside those under way.
    pub(super) fn starts_more(&self, spread: &Spread) -> bool {
        let items = || spread.positions().filter_map(|item| self.step(item));
        let under_way = |phase: &Phase| matches!(phase, Phase::Started | Phase::Backoff { .. });
        let is_open = self
            .step(spread.step)
            .is_some_and(|list| under_way(&list.phase));
        let busy = items().filter(|item| under_way(&item.phase)).count();
        let places = self.place_in_list(spread.first);
        let has_place = places.is_some_and(|(_, _, places)| busy < places);
        is_open && has_place && items().any(|item| item.phase == Phase::Pending)
    }

    /// Whether every item of the step at `step` is done.
    pub(super) fn is_gathered(&self, step: usize) -> bool {
        let spread = self.spread_of(step);
        spread.is_some_and(|spread| {
            let mut items = self
                .steps
                .get(spread.positions())
                .unwrap_or_default()
                .iter();
            match planted::in_sagas(SagaBug::ListDoneTooEarly) {
                false => items.all(|item| item.is_done()),
                true => items.any(|item| item.is_done()),
            }
        })
    }

    /// The outputs of the items of a step, as a list.
    fn list(&self, spread: &Spread) -> Bytes {
        let outputs = spread.positions().map(|item| self.output(item));
        // Nobody knows what an item returned that an operator has skipped.
        let outputs: Vec<&[u8]> = outputs
            .map(|it| it.map_or(&b"null"[..], Bytes::as_ref))
            .collect();
        [b"[", outputs.join(&b","[..]).as_slice(), b"]"]
            .concat()
            .into()
    }

    /// Whether an output of so many bytes goes beyond what the saga holds, or what the list that it is for holds.
    pub(super) fn has_room(&self, position: usize, output_bytes: usize) -> bool {
        let Some(spread) = self.spread_at(position) else {
            return !self.is_too_large(output_bytes);
        };
        let others = spread.positions().filter(|&item| item != position);
        let others = others.map(|item| self.output(item).map_or(4, Bytes::len) + 1);
        let list_bytes = others.sum::<usize>() + output_bytes + 2;
        list_bytes <= DATA_BYTES_MAX && !self.is_too_large(output_bytes.saturating_add(list_bytes))
    }

    /// What the step at `step` is to be done for, or why that cannot be said.
    pub(super) fn items_for(&self, step: usize) -> Result<Vec<Bytes>, String> {
        let Some(list) = self.step_of(step).and_then(|step| step.for_each.as_ref()) else {
            return Err("it is done for no list".to_owned());
        };
        let source = match &list.step {
            None => Some(self.input()),
            Some(id) => self.position_of(id).and_then(|source| self.output(source)),
        };
        let place = match &list.step {
            None => "the input".to_owned(),
            Some(id) => format!("the output of `{id}`"),
        };
        let items = source.and_then(|source| items_at(source, &list.from));
        let mut items =
            items.ok_or_else(|| format!("there is no list at `{}` in {place}", list.from))?;
        let held: usize = self.spreads.iter().map(|spread| spread.items.len()).sum();
        if held + items.len() > ITEMS_MAX {
            return Err(format!(
                "the list at `{}` in {place} has {} items, and a saga may have {ITEMS_MAX}, {held} of which it has",
                list.from,
                items.len()
            ));
        }
        if planted::in_sagas(SagaBug::ItemForgotten) {
            items.pop();
        }
        Ok(items)
    }

    /// Adds a step for each item.
    pub(super) fn spread(&mut self, step: usize) {
        let first = self.steps.len();
        let items = self.items_for(step).unwrap_or_default();
        self.steps
            .resize_with(first + items.len(), Default::default);
        std::sync::Arc::make_mut(&mut self.spreads).push(Spread { step, first, items });
    }
}

/// The items of the list that `pointer` leads to, each as it is written there.
fn items_at(json: &Bytes, pointer: &str) -> Option<Vec<Bytes>> {
    let list = value_at(json, pointer)?;
    let items: Vec<&RawValue> = serde_json::from_slice(&list).ok()?;
    let items = items.iter();
    Some(
        items
            .map(|item| list.slice_ref(item.get().as_bytes()))
            .collect(),
    )
}

/// What `pointer` leads to, as it is written there.
pub(super) fn value_at(json: &Bytes, pointer: &str) -> Option<Bytes> {
    let mut at: &RawValue = serde_json::from_slice(json).ok()?;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        at = match at.get().as_bytes().first()? {
            b'{' => {
                let mut fields: HashMap<String, &RawValue> = serde_json::from_str(at.get()).ok()?;
                fields.remove(&name)?
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(at.get()).ok()?;
                let number: usize = name.parse().ok()?;
                let is_plain = number.to_string() == name;
                items.get(number).filter(|_| is_plain)?
            }
            _ => return None,
        };
    }
    Some(json.slice_ref(at.get().as_bytes()))
}

impl Draft<'_> {
    /// Makes the items of a step steps of their own. They are started as far as there is room.
    pub(super) fn begin_list(&mut self, step: usize, attempt: u32) {
        match self.state.items_for(step) {
            Ok(items) => self.record(Fact::Spread {
                step: number(step),
                count: number(items.len()),
            }),
            Err(error) => self.fail_for_good(step, attempt, Effect::None, error),
        }
    }

    /// Starts items of the lists that are under way, so many at a time.
    pub(super) fn start_items(&mut self) {
        let spreads = std::sync::Arc::clone(&self.state.spreads);
        for spread in spreads.iter() {
            let is_open = self.phase_is(spread.step, |it| *it == Phase::Started);
            let list = self.state.step_of(spread.step);
            let Some(list) = list.and_then(|step| step.for_each.as_ref()) else {
                continue;
            };
            let places = usize::try_from(list.concurrency.get()).unwrap_or(usize::MAX);
            if !is_open || self.state.stage != Stage::Running {
                continue;
            }
            let under_way = |phase: &Phase| matches!(phase, Phase::Started | Phase::Backoff { .. });
            let busy = spread
                .positions()
                .filter(|&item| self.phase_is(item, under_way) || self.facts.is_in_flight(item));
            let mut free = places.saturating_sub(busy.count());
            for item in spread.positions() {
                if free == 0 {
                    break;
                }
                if self.state.is_ready(item) && !self.facts.is_in_flight(item) {
                    self.start(item);
                    free -= 1;
                }
            }
        }
    }

    /// Ends the lists whose items are all done. Returns whether there were any.
    pub(super) fn gather(&mut self) -> bool {
        let spreads = std::sync::Arc::clone(&self.state.spreads);
        let mut is_any = false;
        for spread in spreads.iter() {
            let is_open = self.phase_is(spread.step, |it| *it == Phase::Started);
            if is_open && self.state.is_gathered(spread.step) {
                let attempt = self.state.step(spread.step).map_or(0, |step| step.attempts);
                self.record(Fact::StepSucceeded {
                    step: number(spread.step),
                    attempt,
                    output: self.state.list(spread),
                });
                is_any = true;
            }
        }
        is_any
    }

    fn phase_is(&self, step: usize, fits: impl Fn(&Phase) -> bool) -> bool {
        self.state.step(step).is_some_and(|step| fits(&step.phase))
    }

    /// The result of an attempt, if its output can be held.
    pub(super) fn fitting(&self, step: usize, result: AttemptResult) -> AttemptResult {
        match result {
            AttemptResult::Ok(output) if !self.state.has_room(step, output.len()) => {
                let error = format!("saga has no room for an output of {} bytes", output.len());
                AttemptResult::Err(StepError::InDoubt(error))
            }
            AttemptResult::Ok(output) if self.is_too_large_to_take_back(step, output.len()) => {
                let error = format!(
                    "an output of {} bytes is too large to be given to the service that takes it back",
                    output.len()
                );
                AttemptResult::Err(StepError::InDoubt(error))
            }
            other => other,
        }
    }
}
