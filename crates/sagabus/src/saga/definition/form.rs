//! The written form of a definition: read from JSON or YAML, written as canonical JSON for the hash and the records.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use serde::de::{IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter};
use sha2::{Digest, Sha256};

use super::each::AT_A_TIME;
use super::options::is_default;
use super::place::{InvalidDefinition, Place, Position, options, with_room};
use super::{
    Child, Compensate, ConcurrencyKey, DEFINITION_BYTES_MAX, Definition, DefinitionError,
    DefinitionHash, ForEach, OnConflict, OnInDoubt, OnTimeout, Options, Order, PlainErrors, Step,
    Wait, WaitLimit,
};
use crate::event::strict::{DEPTH_MAX, Object};
use crate::ledger::Priority;
use crate::words::{is_too_deep, no_yaml, plain};

/// What a definition is made of.
pub(super) type Parts = (String, Vec<Step>, Options);
/// What makes a definition of the parts of a child: with all checks, or with those that hold for what is stored.
pub(super) type Make = fn(Parts) -> Result<Definition, InvalidDefinition>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Form {
    name: String,
    steps: Vec<Object<StepForm>>,
    #[serde(default, skip_serializing_if = "is_default")]
    compensation: Order,
    #[serde(default, skip_serializing_if = "is_default")]
    plain_errors: PlainErrors,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue_timeout: Option<Span>,
    #[serde(default, skip_serializing_if = "is_default", with = "level")]
    priority: Priority,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency_key: Option<Object<KeyForm>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    event_input: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeyForm {
    key: String,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    limit: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    on_conflict: OnConflict,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it as it is")]
fn is_one(limit: &u32) -> bool {
    *limit == 1
}

/// A priority in one word.
mod level {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::ledger::Priority;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it as it is")]
    pub(super) fn serialize<S: Serializer>(
        level: &Priority,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(level.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Priority, D::Error> {
        let word = String::deserialize(deserializer)?;
        let level = Priority::ALL.into_iter().find(|it| it.as_str() == word);
        level.ok_or_else(|| {
            let words = "`urgent`, `high`, `normal` or `low`";
            serde::de::Error::invalid_value(serde::de::Unexpected::Str(&word), &words)
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StepForm {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    service: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compensation_action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(default, skip_serializing_if = "is_default")]
    retry_attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_delay: Option<Span>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<String>,
    #[serde(
        default,
        deserialize_with = "super::data::read",
        skip_serializing_if = "Option::is_none"
    )]
    data: Option<Value>,
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "is_default")]
    pivot: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    compensate: Compensate,
    #[serde(default, skip_serializing_if = "is_default")]
    on_in_doubt: OnInDoubt,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compensation_timeout: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compensation_retry_attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_deadline: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue_timeout: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heartbeat: Option<Span>,
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "is_default")]
    overlap: bool,
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "is_default")]
    late_binding: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    for_each: Option<Object<ForEachForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<Object<SignalForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<Object<ApprovalForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timer: Option<Object<TimerForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    child: Option<Object<ChildForm>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChildForm {
    definition: Object<Form>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ForEachForm {
    from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency: Option<NonZeroU32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SignalForm {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(default, skip_serializing_if = "is_default")]
    on_timeout: OnTimeout,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ApprovalForm {
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(default, skip_serializing_if = "is_default")]
    on_timeout: OnTimeout,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimerForm {
    r#for: Span,
}

/// `true` or `false`, and nothing that a reader of YAML would take for one of them.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct FlagVisitor;
    impl Visitor<'_> for FlagVisitor {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a boolean")
        }

        fn visit_bool<E>(self, it: bool) -> Result<bool, E> {
            Ok(it)
        }
    }
    deserializer.deserialize_any(FlagVisitor)
}

/// A duration: milliseconds as a number, or a number with `ms`, `s`, `m` or `h` as text.
struct Span(Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpanVisitor;
        impl Visitor<'_> for SpanVisitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "milliseconds as a number, or text such as `500ms`, `30s`, `2m`, `1h`, `7d`",
                )
            }

            fn visit_u64<E: serde::de::Error>(self, ms: u64) -> Result<Span, E> {
                Ok(Span(Duration::from_millis(ms)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                let (number, unit) = text.split_at(digits);
                let unit_ms = match unit {
                    "ms" => 1,
                    "s" => 1_000,
                    "m" => 60_000,
                    "h" => 3_600_000,
                    "d" => 86_400_000,
                    _ => return Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                };
                number
                    .parse::<u64>()
                    .ok()
                    .and_then(|number| number.checked_mul(unit_ms))
                    .map(|ms| Span(Duration::from_millis(ms)))
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(SpanVisitor)
    }
}

pub(super) fn from_json(json: &[u8]) -> Result<Parts, InvalidDefinition> {
    bounded(json.len())?;
    if let Err(error) = std::str::from_utf8(json) {
        return Err(no_text(json, error.valid_up_to()));
    }
    read_json(json, Definition::from_parts)
}

/// What is no text from `at` on.
fn no_text(bytes: &[u8], at: usize) -> InvalidDefinition {
    let byte = bytes.get(at).copied().unwrap_or_default();
    let number = at.saturating_add(1);
    let reason =
        format!("it is not UTF-8: byte {number} of it, {byte:#04x}, is part of no character");
    let position = Position::of_no_text(bytes, at);
    unreadable(".".to_owned(), reason, Some(position))
}

/// Without a bound on its size: for what is stored already.
pub(super) fn read_json(json: &[u8], make: Make) -> Result<Parts, InvalidDefinition> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let form: Object<Form> = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = path_of(error.path());
        unreadable_json(path, json, error.inner())
    })?;
    reader
        .end()
        .map_err(|error| unreadable_json(".".to_owned(), json, &error))?;
    form.0.into_parts(make)
}

fn unreadable_json(path: String, json: &[u8], error: &serde_json::Error) -> InvalidDefinition {
    let reason = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = reason.strip_suffix(&place).unwrap_or(&reason);
    // What is no JSON at all ends where it ends, and a field that is there twice has no one place; what is of another form
    // stands at its path.
    let is_of_reader = !error.is_data() || reason.starts_with("duplicate field");
    let position = is_of_reader.then(|| Position::of_byte(json, (error.line(), error.column())));
    let is_json = || serde_json::from_slice::<IgnoredAny>(json).is_ok();
    let reason = match reason {
        _ if error.is_data() || is_too_deep(reason) => said(&path, reason),
        _ if !is_json() => format!("it is no JSON: {}", plain(reason)),
        // A word was awaited, and something else is there.
        "expected value" => "must be one of its words".to_owned(),
        _ => plain(reason),
    };
    unreadable(path, reason, position)
}

/// Fields whose values are of a few words.
const OF_WORDS: [&str; 6] = [
    "compensate",
    "compensation",
    "onConflict",
    "onInDoubt",
    "onTimeout",
    "plainErrors",
];

/// Fields whose values are objects, or lists of them: what must be a text there is the name of one of their fields.
const OF_FIELDS: [&str; 9] = [
    "approval",
    "child",
    "concurrencyKey",
    "data",
    "definition",
    "forEach",
    "signal",
    "steps",
    "timer",
];

/// What is wrong at `path`, in plain words.
fn said(path: &str, reason: &str) -> String {
    if is_too_deep(reason) && path.ends_with("].data") {
        return too_deep();
    }
    let field = path.rsplit('.').next().unwrap_or_default();
    let field = field.split('[').next().unwrap_or_default();
    if reason.ends_with("] must be quoted") && OF_WORDS.contains(&field) {
        return "must be one of its words".to_owned();
    }
    let said = plain(reason);
    match said.contains("must be a text") && (path == "." || OF_FIELDS.contains(&field)) {
        true => format!("the name of a field {said}"),
        false => said,
    }
}

pub(super) fn too_deep() -> String {
    format!("it is nested deeper than {DEPTH_MAX}")
}

pub(super) fn from_yaml(yaml: &str) -> Result<Parts, InvalidDefinition> {
    bounded(yaml.len())?;
    let nowhere = || {
        unreadable(
            ".".to_owned(),
            "there is no room to read it".to_owned(),
            None,
        )
    };
    with_room(|| read_yaml(yaml)).unwrap_or_else(|| Err(nowhere()))
}

fn read_yaml(yaml: &str) -> Result<Parts, InvalidDefinition> {
    let mut path = ".".to_owned();
    let read = serde_saphyr::with_deserializer_from_str_with_options(yaml, options(), |reader| {
        serde_path_to_error::deserialize(reader).map_err(|error| {
            path = path_of(error.path());
            error.into_inner()
        })
    });
    let form: Object<Form> = read.map_err(|error| {
        let error = error.without_snippet();
        let reason = DefaultMessageFormatter.format_message(error);
        let reason = reason.replace(char::is_control, " ");
        let reason = match error {
            serde_saphyr::Error::ExternalMessage { .. } => no_yaml(&reason),
            _ => said(&path, &reason),
        };
        // A path says more than where the reader was, but what is no YAML at all has no paths.
        let of_path = (path != ".").then(|| Place::of(path.as_str()).found_in(yaml).position);
        let of_reader = || error.location().and_then(Position::of);
        let position = of_path.flatten().or_else(of_reader);
        unreadable(path, reason, position)
    })?;
    form.0.into_parts(Definition::from_parts)
}

/// The path as far as it is known.
fn path_of(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    let known = path.trim_end_matches(['.', '?']);
    // What is in the data of a step is no field of a definition; how deep it may be is said of all of it.
    let data = known
        .split_once("].data[")
        .or_else(|| known.split_once("].data."));
    if let Some((step, _)) = data {
        return format!("{step}].data");
    }
    match known {
        "" => ".".to_owned(),
        known => known.to_owned(),
    }
}

fn unreadable(path: String, reason: String, position: Option<Position>) -> InvalidDefinition {
    let place = Place {
        path: path.clone(),
        position,
    };
    DefinitionError::Unreadable { path, reason }.at(place)
}

/// One way to write one definition: fixed order of fields, defaults left out, keys of `data` sorted.
pub(super) fn canonical(
    name: &str,
    steps: &[Step],
    options: &Options,
) -> Result<Bytes, InvalidDefinition> {
    let json = written(name, steps, options)?;
    bounded(json.len())?;
    Ok(json)
}

/// The same, however large it is.
pub(super) fn written(
    name: &str,
    steps: &[Step],
    options: &Options,
) -> Result<Bytes, InvalidDefinition> {
    let json = serde_json::to_vec(&Form::of(name, steps, options))
        .map_err(|error| unreadable(".".to_owned(), error.to_string(), None))?;
    Ok(json.into())
}

pub(super) fn hash(canonical: &[u8]) -> DefinitionHash {
    DefinitionHash(Sha256::digest(canonical).into())
}

fn bounded(bytes: usize) -> Result<(), InvalidDefinition> {
    if bytes > DEFINITION_BYTES_MAX {
        return Err(DefinitionError::TooLarge { bytes }.in_definition());
    }
    Ok(())
}

impl Form {
    fn of(name: &str, steps: &[Step], options: &Options) -> Self {
        Self {
            name: name.to_owned(),
            steps: steps
                .iter()
                .map(|it| Object(StepForm::from_step(it)))
                .collect(),
            compensation: options.compensation,
            plain_errors: options.plain_errors,
            deadline: options.deadline.map(Span),
            queue_timeout: options.queue_timeout.map(Span),
            priority: options.priority,
            concurrency_key: options.concurrency_key.as_ref().map(|it| {
                Object(KeyForm {
                    key: it.key.clone(),
                    limit: it.limit,
                    on_conflict: it.on_conflict,
                })
            }),
            event_input: options.event_input.clone(),
        }
    }

    fn into_parts(self, make: Make) -> Result<Parts, InvalidDefinition> {
        let steps = self.steps.into_iter().enumerate();
        let steps = steps.map(|(at, step)| step.0.into_step(at, make));
        let steps = steps.collect::<Result<_, _>>()?;
        let options = Options {
            compensation: self.compensation,
            plain_errors: self.plain_errors,
            deadline: self.deadline.map(|span| span.0),
            queue_timeout: self.queue_timeout.map(|span| span.0),
            priority: self.priority,
            concurrency_key: self.concurrency_key.map(|Object(it)| ConcurrencyKey {
                key: it.key,
                limit: it.limit,
                on_conflict: it.on_conflict,
            }),
            event_input: self.event_input,
        };
        Ok((self.name, steps, options))
    }
}

impl ChildForm {
    fn read(self, at: usize, make: Make) -> Result<Child, InvalidDefinition> {
        let definition = self.definition.0.into_parts(make).and_then(make);
        Ok(Child {
            definition: definition.map_err(|error| error.in_child_of(at))?,
            from: self.from,
            step: self.step,
        })
    }
}

impl StepForm {
    /// Checks that it is to be run, or waits for one thing.
    fn check_waits(&self, at: usize) -> Result<(), InvalidDefinition> {
        let waits = [
            ("signal", self.signal.is_some()),
            ("approval", self.approval.is_some()),
            ("timer", self.timer.is_some()),
            ("child", self.child.is_some()),
        ];
        let mut waits = waits.iter().filter(|(_, is_given)| *is_given);
        let (path, reason) = match (waits.next(), waits.next()) {
            (None, _) if self.action.is_empty() => {
                (format!("steps[{at}]"), "missing field `action`".to_owned())
            }
            (Some((first, _)), Some((second, _))) => (
                format!("steps[{at}].{second}"),
                format!(
                    "is too much beside `{first}`: a step has one of `signal`, `approval`, `timer`, `child`"
                ),
            ),
            (None | Some(_), _) => return Ok(()),
        };
        Err(unreadable(path, reason, None))
    }

    fn into_step(self, at: usize, make: Make) -> Result<Step, InvalidDefinition> {
        let limit = |timeout: Option<Span>, on_timeout| {
            timeout.map(|span| WaitLimit {
                timeout: span.0,
                on_timeout,
            })
        };
        self.check_waits(at)?;
        let child = self.child.map(|child| child.0.read(at, make)).transpose()?;
        let signal = self.signal.map(|Object(it)| Wait::Signal {
            name: it.name,
            limit: limit(it.timeout, it.on_timeout),
        });
        let approval = self.approval.map(|Object(it)| Wait::Approval {
            role: it.role,
            limit: limit(it.timeout, it.on_timeout),
        });
        let timer = self.timer.map(|Object(it)| Wait::Timer(it.r#for.0));
        let wait = signal.or(approval).or(timer);
        let wait = wait.or(child.map(Wait::Child));
        Ok(Step {
            wait,
            for_each: self.for_each.map(|Object(list)| ForEach {
                from: list.from,
                step: list.step,
                concurrency: list.concurrency.unwrap_or(AT_A_TIME),
            }),
            name: self.name.unwrap_or_else(|| self.id.clone()),
            id: self.id,
            service: self.service,
            action: self.action,
            compensation_action: self.compensation_action,
            version: self.version,
            timeout: self.timeout.map(|span| span.0),
            retry_attempts: self.retry_attempts,
            retry_delay: self.retry_delay.map(|span| span.0),
            dependencies: self.dependencies,
            data: self.data,
            pivot: self.pivot,
            compensate: self.compensate,
            on_in_doubt: self.on_in_doubt,
            compensation_timeout: self.compensation_timeout.map(|span| span.0),
            compensation_retry_attempts: self.compensation_retry_attempts,
            step_deadline: self.step_deadline.map(|span| span.0),
            queue_timeout: self.queue_timeout.map(|span| span.0),
            heartbeat: self.heartbeat.map(|span| span.0),
            overlap: self.overlap,
            late_binding: self.late_binding,
        })
    }

    fn from_step(step: &Step) -> Self {
        let timeout = |limit: &Option<WaitLimit>| limit.map(|limit| Span(limit.timeout));
        let on_timeout =
            |limit: &Option<WaitLimit>| limit.map(|limit| limit.on_timeout).unwrap_or_default();
        let (mut signal, mut approval, mut timer, mut child) = (None, None, None, None);
        match &step.wait {
            Some(Wait::Signal { name, limit }) => {
                signal = Some(Object(SignalForm {
                    name: name.clone(),
                    timeout: timeout(limit),
                    on_timeout: on_timeout(limit),
                }));
            }
            Some(Wait::Approval { role, limit }) => {
                approval = Some(Object(ApprovalForm {
                    role: role.clone(),
                    timeout: timeout(limit),
                    on_timeout: on_timeout(limit),
                }));
            }
            Some(Wait::Timer(delay)) => {
                timer = Some(Object(TimerForm {
                    r#for: Span(*delay),
                }))
            }
            Some(Wait::Child(own)) => {
                let definition = &own.definition;
                let form = Form::of(definition.name(), definition.steps(), definition.options());
                child = Some(Object(ChildForm {
                    definition: Object(form),
                    from: own.from.clone(),
                    step: own.step.clone(),
                }));
            }
            None => {}
        }
        Self {
            child,
            for_each: step.for_each.as_ref().map(|list| {
                Object(ForEachForm {
                    from: list.from.clone(),
                    step: list.step.clone(),
                    concurrency: (list.concurrency != AT_A_TIME).then_some(list.concurrency),
                })
            }),
            signal,
            approval,
            timer,
            id: step.id.clone(),
            name: (step.name != step.id).then(|| step.name.clone()),
            service: step.service.clone(),
            action: step.action.clone(),
            compensation_action: step.compensation_action.clone(),
            version: step.version,
            timeout: step.timeout.map(Span),
            retry_attempts: step.retry_attempts,
            retry_delay: step.retry_delay.map(Span),
            dependencies: step.dependencies.clone(),
            data: step.data.as_ref().map(sorted),
            pivot: step.pivot,
            compensate: step.compensate,
            on_in_doubt: step.on_in_doubt,
            compensation_timeout: step.compensation_timeout.map(Span),
            compensation_retry_attempts: step.compensation_retry_attempts,
            step_deadline: step.step_deadline.map(Span),
            queue_timeout: step.queue_timeout.map(Span),
            heartbeat: step.heartbeat.map(Span),
            overlap: step.overlap,
            late_binding: step.late_binding,
        }
    }
}

/// The same value with the keys of every object in order, whatever order the map type keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
