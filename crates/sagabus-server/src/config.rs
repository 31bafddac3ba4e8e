//! Configuration from the environment: the only place that reads it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use sagabus::Error;
use sagabus::engines::embedded;
use sagabus::saga::{self, ServiceLimit};

const DAY: Duration = Duration::from_hours(24);

/// Prefixes of variables that are ours: an unknown one under them is a mistake, not somebody else's.
pub(crate) const PREFIXES: [&str; 5] = ["EVENT_BUS_", "SAGA_", "AUDIT_", "AI_", "SAMPLE_"];

/// The setting that says how many subscriptions there may be, and its largest value.
const LISTENERS: &str = "EVENT_BUS_MAX_LISTENERS";
const LISTENERS_MAX: u64 = 10_000;

/// Settings of the bus, of sagas, of the audit trail, of the reading of forms and of samples.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) engine: embedded::Settings,
    pub(crate) bus: sagabus::Settings,
    pub(crate) saga: saga::Settings,
    pub(crate) audit: audit_service::Settings,
    pub(crate) ai: ai_service::AiSettings,
    /// Most streams of events at one time.
    pub(crate) streams_max: usize,
    /// How long a decision about a sample may take before it is told that nobody made it.
    pub(crate) decision_time: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: embedded::Settings::default(),
            bus: sagabus::Settings::default(),
            saga: saga::Settings::default(),
            audit: audit_service::Settings::default(),
            ai: ai_service::AiSettings::default(),
            streams_max: 100,
            decision_time: DAY.saturating_mul(14),
        }
    }
}

/// One variable: its name, its default, what it means, and where its value goes.
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
    set: Set,
}

/// Where a value goes.
enum Set {
    /// A whole number.
    Number {
        set: fn(&mut Config, u64),
        min: u64,
        max: u64,
    },
    /// What reads it for itself. The error says what is wrong.
    Text(fn(&mut Config, &str) -> Result<(), Error>),
}

/// Every variable that is read.
pub(crate) const VARIABLES: &[Variable] = &[
    Variable {
        name: LISTENERS,
        default: "100",
        meaning: "most subscriptions at one time; one more is refused. The program itself has six, and with `--only` as many as its services need",
        set: Set::Number {
            set: |config, value| config.bus.subscriptions_max = count(value),
            min: 1,
            max: LISTENERS_MAX,
        },
    },
    Variable {
        name: "EVENT_BUS_RETRY_DELAY",
        default: "1000",
        meaning: "milliseconds before the first re-try of a delivery; each further one waits twice as long, at most 5 min",
        set: Set::Number {
            set: |config, value| config.bus.retry_delay = Duration::from_millis(value),
            min: 1,
            max: 3_600_000,
        },
    },
    Variable {
        name: "EVENT_BUS_MAX_RETRIES",
        default: "3",
        meaning: "re-tries before a delivery becomes a dead letter; attempts are one more",
        set: Set::Number {
            set: |config, value| config.bus.retries_max = u32::try_from(value).unwrap_or(u32::MAX),
            min: 0,
            max: 1_000,
        },
    },
    Variable {
        name: "EVENT_BUS_DEAD_LETTER_THRESHOLD",
        default: "100",
        meaning: "dead letters above which the bus reports itself unhealthy",
        set: Set::Number {
            set: |config, value| config.bus.dead_letter_threshold = count(value),
            min: 0,
            max: 1_000_000_000,
        },
    },
    Variable {
        name: "EVENT_BUS_RETENTION_DAYS",
        default: "30",
        meaning: "days for which events are kept that nobody needs any more; what is not handled yet, dead letters and what is scheduled stay for as long as it takes",
        set: Set::Number {
            set: |config, value| {
                config.engine.retention_time =
                    DAY.saturating_mul(u32::try_from(value).unwrap_or(u32::MAX))
            },
            min: 1,
            max: 36_600,
        },
    },
    Variable {
        name: "EVENT_BUS_RETENTION_MEBIBYTES",
        default: "4096",
        meaning: "MiB of the event log's files beyond which the oldest events that nobody needs are dropped before that; the last 262,144 stay for a day, as their ids are remembered",
        set: Set::Number {
            set: |config, value| config.engine.retention_bytes = value.saturating_mul(1024 * 1024),
            min: 0,
            max: 1_000_000_000,
        },
    },
    Variable {
        name: "EVENT_BUS_FREE_MEBIBYTES",
        default: "256",
        meaning: "MiB of the disk, or an eighth of it if that is less, kept for what was accepted: with less room new events, forms and sagas are refused, and all else goes on",
        set: Set::Number {
            set: |config, value| config.engine.free_bytes = value.saturating_mul(1024 * 1024),
            min: 0,
            max: 1_000_000_000,
        },
    },
    Variable {
        name: "EVENT_BUS_MAX_STREAMS",
        default: "100",
        meaning: "most streams of events (`GET /api/events/stream`) at one time; one more is answered with 503. Each is one of the 256 connections",
        set: Set::Number {
            set: |config, value| config.streams_max = count(value),
            min: 0,
            max: 200,
        },
    },
    Variable {
        name: "SAGA_STEP_TIMEOUT",
        default: "30000",
        meaning: "milliseconds that an attempt of a saga step may take where the step does not say",
        set: Set::Number {
            set: |config, value| config.saga.step_timeout = Duration::from_millis(value),
            min: 1,
            max: 86_400_000,
        },
    },
    Variable {
        name: "SAGA_MAX_ACTIVE_SAGAS",
        default: "100",
        meaning: "sagas that run at one time; further ones are stored and wait for their turn",
        set: Set::Number {
            set: |config, value| config.saga.active_max = count(value),
            min: 1,
            max: 1_000_000,
        },
    },
    Variable {
        name: "SAGA_MAX_QUEUED_SAGAS",
        default: "10000",
        meaning: "sagas that may wait for their turn; a start beyond that is refused and not stored. 0: nobody waits",
        set: Set::Number {
            set: |config, value| config.saga.queued_max = count(value),
            min: 0,
            max: 1_000_000,
        },
    },
    Variable {
        name: "SAGA_PRIORITY_AGE",
        default: "60000",
        meaning: "milliseconds of waiting that count as much as one level of a saga's priority",
        set: Set::Number {
            set: |config, value| config.saga.priority_age = Duration::from_millis(value),
            min: 0,
            max: 86_400_000,
        },
    },
    Variable {
        name: "SAGA_SERVICE_LIMITS",
        default: "",
        meaning: "how many attempts of saga steps a service, or one action of it, is given at one time and in a second, with commas between: `ai-service=4`, `ai-service/process_pdf=@10`, `ai-service=4@10`; further ones wait, and cost no attempt. Empty: no limits",
        set: Set::Text(|config, value| {
            let all = value.split(',').filter(|limit| !limit.trim().is_empty());
            config.saga.service_limits = all.map(str::parse).collect::<Result<_, _>>()?;
            config.saga.validate()
        }),
    },
    Variable {
        name: "SAGA_STUCK_RETRY",
        default: "0",
        meaning: "milliseconds after which a stuck compensation is tried again by itself, ten times without an operator's word in between. 0: only when an operator says so",
        set: Set::Number {
            set: |config, value| {
                config.saga.stuck_retry = (value > 0).then(|| Duration::from_millis(value));
            },
            min: 0,
            max: 2_592_000_000,
        },
    },
    Variable {
        name: "SAGA_CLEANUP_INTERVAL",
        default: "300000",
        meaning: "milliseconds after which finished sagas leave the memory, and between two such looks",
        set: Set::Number {
            set: |config, value| config.saga.cleanup_interval = Duration::from_millis(value),
            min: 1,
            max: 86_400_000,
        },
    },
    Variable {
        name: "AUDIT_CHECKPOINT_ENTRIES",
        default: "1000",
        meaning: "new entries after which the audit trail is signed; looked at each second",
        set: Set::Number {
            set: |config, value| config.audit.checkpoint_entries = value,
            min: 1,
            max: 1_000_000_000,
        },
    },
    Variable {
        name: "AUDIT_CHECKPOINT_INTERVAL",
        default: "60000",
        meaning: "milliseconds after which the audit trail is signed if it has new entries, however few; looked at each second",
        set: Set::Number {
            set: |config, value| config.audit.checkpoint_interval = Duration::from_millis(value),
            min: 1,
            max: 86_400_000,
        },
    },
    Variable {
        name: "AUDIT_KEY_FILE",
        default: "",
        meaning: "the private key that signs the audit trail, which only its owner may read; made at the first start. Empty: `audit.key` in the data directory",
        set: Set::Text(|config, value| {
            config.audit.key_file = (!value.is_empty()).then(|| value.into());
            Ok(())
        }),
    },
    Variable {
        name: "AI_CONFIDENCE_THRESHOLD",
        default: "0.7",
        meaning: "what is read of a form with less confidence, 0 to 1, waits for a person; as a whole, or of one value",
        set: Set::Text(|config, value| {
            config.ai.confidence_threshold = share(value)?;
            Ok(())
        }),
    },
    Variable {
        name: "AI_ACCURACY_THRESHOLD",
        default: "0.9",
        meaning: "share of right values, 0 to 1, below which a method or model is told as degraded",
        set: Set::Text(|config, value| {
            config.ai.accuracy_threshold = share(value)?;
            Ok(())
        }),
    },
    Variable {
        name: "AI_METHOD",
        default: "pattern",
        meaning: "how forms are read: `pattern`, `rag`, `llm` or `hybrid`",
        set: Set::Text(|config, value| {
            let method = ai_service::ReadBy::from_word(value.trim());
            config.ai.method = method.ok_or_else(|| Error::invalid("there is no such method"))?;
            Ok(())
        }),
    },
    Variable {
        name: "AI_LLM_URL",
        default: "",
        meaning: "where a language model is asked, such as `http://localhost:11434/v1`: plain HTTP, in the way of OpenAI. Empty: none is asked",
        set: Set::Text(|config, value| {
            let url = value.trim();
            let url = (!url.is_empty()).then(|| ai_service::ModelUrl::read(url));
            config.ai.model.url = url.transpose().map_err(Error::invalid)?;
            Ok(())
        }),
    },
    Variable {
        name: "AI_LLM_MODEL",
        default: "",
        meaning: "name of the model that is asked",
        set: Set::Text(|config, value| {
            config.ai.model.name = model_name(value)?;
            Ok(())
        }),
    },
    Variable {
        name: "AI_LLM_EMBEDDING",
        default: "",
        meaning: "name of the model there that makes vectors of labels for the method `rag`. Empty: words alone are compared",
        set: Set::Text(|config, value| {
            config.ai.model.embedding = model_name(value)?;
            Ok(())
        }),
    },
    Variable {
        name: "AI_LLM_TIMEOUT",
        default: "30000",
        meaning: "milliseconds that one answer of the model may take; it is asked three times more",
        set: Set::Number {
            set: |config, value| config.ai.model.timeout = Duration::from_millis(value),
            min: 1,
            max: 600_000,
        },
    },
    Variable {
        name: "AUDIT_READS",
        default: "1",
        meaning: "1: who looks at samples, forms, results, events, sagas, dead letters or the trail over HTTP is in the trail before they see it. 0: it is not",
        set: Set::Number {
            set: |config, value| config.audit.records_reads = value == 1,
            min: 0,
            max: 1,
        },
    },
    Variable {
        name: "SAMPLE_DECISION_TIME",
        default: "1209600000",
        meaning: "milliseconds for which a decision about a sample whose quality control failed is waited for; after them it is told that nobody made it, and it is waited on. It holds for failures from then on",
        set: Set::Number {
            set: |config, value| config.decision_time = Duration::from_millis(value),
            min: 1,
            max: 31_622_400_000,
        },
    },
];

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Variable {
    fn read(&self, config: &mut Config, value: &str) -> Result<(), Error> {
        let refused = |must: &str| {
            Error::invalid(format!(
                "environment variable `{}` is `{}`, and must be {must}: {}",
                self.name,
                value.escape_debug(),
                self.meaning
            ))
        };
        match self.set {
            Set::Number { set, min, max } => {
                let number = value.trim().parse().ok();
                let number = number.filter(|number| (min..=max).contains(number));
                let must = || refused(&format!("a whole number from {min} to {max}"));
                set(config, number.ok_or_else(must)?);
                Ok(())
            }
            Set::Text(set) => set(config, value)
                .map_err(|error| refused("what its meaning says").with_source(error)),
        }
    }
}

impl Config {
    /// The environment of this process.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            // A name that is not Unicode is none of ours.
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        });
        Self::read(variables)
    }

    /// Reads variables; those without one of our prefixes are passed over.
    pub(crate) fn read(variables: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut config = Self::default();
        for (name, value) in variables {
            if !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let Some(variable) = VARIABLES.iter().find(|it| it.name == name) else {
                return Err(unknown(&name));
            };
            variable.read(&mut config, &value)?;
        }
        config.bus.validate()?;
        Ok(config)
    }

    /// Refuses fewer subscriptions than the program has itself.
    ///
    /// # Errors
    /// `Invalid`, naming the variable and what it may be.
    pub(crate) fn check_listeners(&self, least: usize) -> Result<(), Error> {
        let given = self.bus.subscriptions_max;
        if given >= least {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "environment variable `{LISTENERS}` is `{given}`, and must be a whole number from {least} to {LISTENERS_MAX}: the \
             program has {least} subscriptions itself"
        )))
    }

    /// Refuses limits of services and actions that no handler is of: they would limit nothing.
    ///
    /// # Errors
    /// `Invalid`, naming the variable, the limit and what there is.
    pub(crate) fn check_service_limits(
        limits: &[ServiceLimit],
        actions: &BTreeSet<(&str, &str)>,
    ) -> Result<(), Error> {
        for limit in limits {
            let of_service = actions.iter().filter(|(name, _)| *name == limit.service);
            let of_service: Vec<&str> = of_service.map(|(_, action)| *action).collect();
            let (what, known) = match &limit.action {
                _ if of_service.is_empty() => {
                    let services: BTreeSet<&str> = actions.iter().map(|(name, _)| *name).collect();
                    ("service", services.into_iter().collect())
                }
                Some(action) if !of_service.contains(&action.as_str()) => ("action", of_service),
                Some(_) | None => continue,
            };
            return Err(Error::invalid(format!(
                "environment variable `SAGA_SERVICE_LIMITS` has `{limit}`, whose {what} is none; there are {}",
                known.join(", ")
            )));
        }
        Ok(())
    }
}

/// The name of whoever uses the shell, where it says one.
pub(crate) fn user() -> Option<String> {
    let names = ["USER", "LOGNAME"].into_iter().filter_map(std::env::var_os);
    let mut names = names.filter_map(|it| it.into_string().ok());
    names.find(|it| !it.trim().is_empty())
}

/// The name of a model.
fn model_name(value: &str) -> Result<String, Error> {
    let name = value.trim();
    match name.len() <= 200 && !name.contains(char::is_control) {
        true => Ok(name.to_owned()),
        false => Err(Error::invalid("it is no name of at most 200 bytes")),
    }
}

/// A part of one.
fn share(value: &str) -> Result<f64, Error> {
    let share = value.trim().parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| Error::invalid("it is no number from 0 to 1"))
}

fn count(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn unknown(name: &str) -> Error {
    let nearest = VARIABLES
        .iter()
        .max_by(|a, b| {
            let likeness = |it: &Variable| strsim::jaro_winkler(it.name, name);
            likeness(a).total_cmp(&likeness(b))
        })
        .map_or("", |it| it.name);
    Error::invalid(format!(
        "environment variable `{name}` is not known; did you mean `{nearest}`?"
    ))
}

#[cfg(test)]
mod tests;
