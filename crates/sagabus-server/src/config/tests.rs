//! Each variable is read with its meaning; mistakes stop the start.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Config, Error> {
    Config::read(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn every_variable_changes_its_setting() {
    for variable in VARIABLES {
        let value = match variable.set {
            Set::Number { max: 1, .. } => "0",
            Set::Number { .. } => "7",
            Set::Text(_) if variable.name.ends_with("_THRESHOLD") => "0.5",
            Set::Text(_) if variable.name.ends_with("_METHOD") => "rag",
            Set::Text(_) if variable.name.ends_with("_URL") => "http://localhost:1/v1",
            Set::Text(_) => "svc=7",
        };
        let config = read(&[(variable.name, value)]).unwrap();
        let default = read(&[(variable.name, variable.default)]).unwrap();
        assert_ne!(
            format!("{config:?}"),
            format!("{:?}", Config::default()),
            "{}",
            variable.name
        );
        assert_eq!(
            format!("{default:?}"),
            format!("{:?}", Config::default()),
            "{}",
            variable.name
        );
    }
}

#[test]
fn each_variable_is_its_own_setting_in_its_own_unit() {
    let names = [
        "EVENT_BUS_MAX_LISTENERS",
        "EVENT_BUS_RETRY_DELAY",
        "EVENT_BUS_MAX_RETRIES",
        "EVENT_BUS_DEAD_LETTER_THRESHOLD",
        "EVENT_BUS_RETENTION_DAYS",
        "EVENT_BUS_RETENTION_MEBIBYTES",
        "EVENT_BUS_FREE_MEBIBYTES",
        "EVENT_BUS_MAX_STREAMS",
        "SAGA_STEP_TIMEOUT",
        "SAGA_MAX_ACTIVE_SAGAS",
        "SAGA_MAX_QUEUED_SAGAS",
        "SAGA_PRIORITY_AGE",
        "SAGA_SERVICE_LIMITS",
        "SAGA_STUCK_RETRY",
        "SAGA_CLEANUP_INTERVAL",
        "AUDIT_CHECKPOINT_ENTRIES",
        "AUDIT_CHECKPOINT_INTERVAL",
        "AUDIT_KEY_FILE",
        "AI_CONFIDENCE_THRESHOLD",
        "AI_ACCURACY_THRESHOLD",
        "AI_METHOD",
        "AI_LLM_URL",
        "AI_LLM_MODEL",
        "AI_LLM_EMBEDDING",
        "AI_LLM_TIMEOUT",
        "AUDIT_READS",
        "SAMPLE_DECISION_TIME",
    ];
    assert_eq!(
        names,
        *VARIABLES.iter().map(|it| it.name).collect::<Vec<_>>()
    );
    let values = [
        "11",
        "12",
        "13",
        "14",
        "15",
        "16",
        "17",
        "27",
        "18",
        "19",
        "20",
        "21",
        "svc=4@5, a/b=6",
        "22",
        "23",
        "24",
        "2500",
        "/keys/audit.key",
        "0.6",
        "0.8",
        "hybrid",
        "http://127.0.0.1:11434/v1/",
        "small",
        "vectors",
        "2600",
        "0",
        "26",
    ];
    let pairs: Vec<(&str, &str)> = names.into_iter().zip(values).collect();
    let config = read(&pairs).unwrap();
    assert_eq!(config.audit.checkpoint_entries, 24);
    assert_eq!(
        config.audit.checkpoint_interval,
        Duration::from_millis(2_500)
    );
    assert_eq!(config.audit.key_file, Some("/keys/audit.key".into()));
    assert_eq!(
        (
            config.ai.confidence_threshold,
            config.ai.accuracy_threshold,
            config.ai.method
        ),
        (0.6, 0.8, ai_service::ReadBy::Hybrid)
    );
    let model = config.ai.model;
    let url = model.url.unwrap();
    assert_eq!(
        (url.authority.as_str(), url.path.as_str()),
        ("127.0.0.1:11434", "/v1")
    );
    assert_eq!(
        (model.name.as_str(), model.embedding.as_str()),
        ("small", "vectors")
    );
    assert_eq!(model.timeout, Duration::from_millis(2_600));
    assert!(!config.audit.records_reads);
    assert_eq!(config.decision_time, Duration::from_millis(26));
    assert_eq!(config.streams_max, 27);
    let Config {
        engine, bus, saga, ..
    } = config;
    assert_eq!(
        (bus.subscriptions_max, bus.retry_delay, bus.retries_max),
        (11, Duration::from_millis(12), 13)
    );
    assert_eq!(bus.dead_letter_threshold, 14);
    assert_eq!(
        (engine.retention_time, engine.retention_bytes),
        (Duration::from_hours(15 * 24), 16 * 1024 * 1024)
    );
    assert_eq!(engine.free_bytes, 17 * 1024 * 1024);
    assert_eq!(
        (saga.step_timeout, saga.active_max, saga.queued_max),
        (Duration::from_millis(18), 19, 20)
    );
    let limits = saga.service_limits.iter().map(ToString::to_string);
    assert_eq!(limits.collect::<Vec<_>>(), ["svc=4@5", "a/b=6"]);
    assert_eq!(
        (saga.priority_age, saga.stuck_retry),
        (Duration::from_millis(21), Some(Duration::from_millis(22)))
    );
    assert_eq!(saga.cleanup_interval, Duration::from_millis(23));
    assert_eq!(
        read(&[("SAGA_STUCK_RETRY", "0")]).unwrap().saga.stuck_retry,
        None
    );
}

#[test]
fn an_unknown_variable_stops_the_start_with_a_suggestion() {
    for (wrong, meant) in [
        ("EVENT_BUS_MAX_LISTNERS", "EVENT_BUS_MAX_LISTENERS"),
        ("EVENT_BUS_RETRIES", "EVENT_BUS_MAX_RETRIES"),
        ("SAGA_TIMEOUT", "SAGA_STEP_TIMEOUT"),
        ("AUDIT_KEYFILE", "AUDIT_KEY_FILE"),
    ] {
        let error = read(&[(wrong, "1")]).unwrap_err().to_string();
        assert!(
            error.contains(wrong) && error.contains("did you mean"),
            "{error}"
        );
        assert!(error.contains(meant), "{error}");
    }
    assert!(read(&[("PATH", "x"), ("SAGABUS_X", "y")]).is_ok());
}

#[test]
fn a_wrong_value_names_the_variable_and_its_limits() {
    for value in ["", "abc", "-1", "1.5", "0", "99999999"] {
        let error = read(&[("EVENT_BUS_RETRY_DELAY", value)])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("EVENT_BUS_RETRY_DELAY") && error.contains("1 to 3600000"),
            "{error}"
        );
    }
}

#[test]
fn a_limit_of_a_service_that_makes_no_sense_names_the_variable() {
    for value in [
        "svc",
        "svc=0",
        "svc=1;b=2",
        "svc=1,svc=2",
        "svc=@10001",
        "svc=4@",
        "svc=",
        "svc=@",
    ] {
        let error = read(&[("SAGA_SERVICE_LIMITS", value)]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("SAGA_SERVICE_LIMITS") && text.contains(value),
            "{text}"
        );
        assert!(std::error::Error::source(&error).is_some(), "{text}");
    }
}

#[test]
fn a_limit_of_a_service_or_an_action_that_nobody_has_names_the_variable_and_what_there_is() {
    let actions = BTreeSet::from([("ai-service", "process_pdf"), ("audit-service", "note")]);
    let check = |value: &str| {
        let config = read(&[("SAGA_SERVICE_LIMITS", value)]).unwrap();
        Config::check_service_limits(&config.saga.service_limits, &actions)
    };
    check("ai-service=4, ai-service/process_pdf=@10, audit-service=1").unwrap();
    for (value, words) in [
        (
            "ai=4",
            ["`ai=4`, whose service", "ai-service, audit-service"],
        ),
        (
            "ai-service/note=4",
            ["`ai-service/note=4`, whose action", "process_pdf"],
        ),
    ] {
        let error = check(value).unwrap_err().to_string();
        for word in ["`SAGA_SERVICE_LIMITS`"].iter().chain(&words) {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn fewer_listeners_than_the_program_has_are_refused_by_name() {
    let config = read(&[("EVENT_BUS_MAX_LISTENERS", "4")]).unwrap();
    config.check_listeners(4).unwrap();
    let text = config.check_listeners(6).unwrap_err().to_string();
    assert!(
        text.contains("EVENT_BUS_MAX_LISTENERS") && text.contains("6 to 10000"),
        "{text}"
    );
}
