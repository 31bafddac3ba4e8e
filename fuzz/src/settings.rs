//! The environment: what is taken is within its limits, what is refused names the variable and its limits.

use std::time::Duration;

use sagabus::saga::ServiceLimit;

use crate::config::{Config, PREFIXES, VARIABLES};

/// Variables whose values are no numbers.
const TEXTS: [&str; 8] = [
    "SAGA_SERVICE_LIMITS",
    "AUDIT_KEY_FILE",
    "AI_CONFIDENCE_THRESHOLD",
    "AI_ACCURACY_THRESHOLD",
    "AI_METHOD",
    "AI_LLM_URL",
    "AI_LLM_MODEL",
    "AI_LLM_EMBEDDING",
];

/// Parts between bytes that no text has are names and values in turn; a name of one byte picks a variable that is known.
pub(crate) fn settings(bytes: &[u8]) {
    let texts: Vec<String> = bytes
        .split(|it| *it == 0xff)
        .map(|it| String::from_utf8_lossy(it).into_owned())
        .collect();
    let pairs: Vec<(String, String)> = texts
        .chunks_exact(2)
        .map(|pair| match pair[0].as_bytes() {
            [pick] => {
                let variable = &VARIABLES[usize::from(*pick) % VARIABLES.len()];
                (variable.name.to_owned(), pair[1].clone())
            }
            _ => (pair[0].clone(), pair[1].clone()),
        })
        .collect();
    let is_ours = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    match Config::read(pairs.clone().into_iter()) {
        Ok(config) => {
            config.bus.validate().expect("what is taken is valid");
            // How many there must be hangs on which services are served.
            assert!((1..=10_000).contains(&config.bus.subscriptions_max));
            assert!(config.bus.retries_max <= 1_000);
            assert!((0.0..=1.0).contains(&config.ai.confidence_threshold));
            assert!((0.0..=1.0).contains(&config.ai.accuracy_threshold));
            let (least, most) = (Duration::from_millis(1), Duration::from_millis(86_400_000));
            assert!((least..=most).contains(&config.saga.step_timeout));
            assert!((least..=most).contains(&config.saga.cleanup_interval));
            assert!((1..=1_000_000).contains(&config.saga.active_max));
            for (name, value) in pairs.iter().filter(|it| is_ours(&it.0)) {
                assert!(
                    VARIABLES.iter().any(|it| it.name == name),
                    "{name:?} was taken"
                );
                let is_number = value.trim().parse::<u64>().is_ok();
                assert!(
                    is_number || TEXTS.contains(&name.as_str()),
                    "{value:?} was taken"
                );
            }
            for limit in &config.saga.service_limits {
                let again = limit.to_string().parse::<ServiceLimit>();
                assert_eq!(again.as_ref().ok(), Some(limit), "{limit} reads as another");
            }
        }
        Err(error) => {
            let text = error.chain();
            assert_eq!(error.kind(), sagabus::ErrorKind::Invalid);
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(text.contains("environment variable `"), "{text:?}");
            assert!(pairs.iter().any(|it| is_ours(&it.0)), "{text:?}");
        }
    }
}
