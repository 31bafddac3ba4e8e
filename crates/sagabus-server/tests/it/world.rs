//! Looks at everything that a data directory and its server show, and finds what is lost, doubled or stuck.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sagabus::sqlite::rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::program::{Server, until_or_told};

/// The databases of the services.
const DATABASES: [&str; 3] = ["samples.sqlite", "ai.sqlite", "audit.sqlite"];

/// What was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) events: usize,
    pub(crate) submissions: usize,
    pub(crate) accepted: usize,
    pub(crate) rejected: usize,
    pub(crate) samples: usize,
}

impl Checked {
    pub(crate) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.submissions += other.submissions;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.samples += other.samples;
    }
}

/// One submission as its own table shows it.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) sample_count: usize,
}

/// Waits until sagas have ended, outboxes are empty and all deliveries are settled.
pub(crate) fn settle(server: &Server, data: &Path) {
    until_or_told("quiet", || {
        let outboxes: i64 = DATABASES
            .iter()
            .map(|name| {
                number(
                    data,
                    name,
                    "SELECT count(*) FROM outbox WHERE refused IS NULL",
                )
            })
            .sum();
        let stats = server.get("/api/stats").expect(200);
        let idle = stats["sagas"]["active"] == 0 && stats["sagas"]["queued"] == 0;
        match outboxes == 0 && idle && stats["queueSize"] == 0 {
            true => Ok(()),
            false => Err(format!("({outboxes} events in outboxes): {stats}")),
        }
    });
}

/// Waits for quiet, then checks all that must hold then. `rows` is the number of samples of the forms that were handed in.
pub(crate) fn check(server: &Server, data: &Path, rows: usize) -> Checked {
    settle(server, data);
    let events = all_events(server);
    let submissions = submissions(data);
    check_events(&events, data);
    check_sagas(server, &events, &submissions);
    let samples = submissions
        .iter()
        .map(|submission| check_submission(submission, &events, data, rows))
        .sum();
    let in_all = number(
        data,
        "samples.sqlite",
        "SELECT count(*) FROM samples WHERE submission_id IS NOT NULL",
    );
    assert_eq!(usize::try_from(in_all).unwrap(), samples);
    check_deliveries(server);
    let count = |status: &str| submissions.iter().filter(|it| it.status == status).count();
    Checked {
        events: events.len(),
        submissions: submissions.len(),
        accepted: count("accepted"),
        rejected: count("rejected"),
        samples,
    }
}

/// Every event that is stored, in order.
pub(crate) fn all_events(server: &Server) -> Vec<Value> {
    let mut events = Vec::new();
    let mut from = 1;
    loop {
        let page = server
            .get(&format!("/api/events?from={from}&limit=1000"))
            .expect(200);
        events.extend(page["events"].as_array().unwrap().iter().map(|it| {
            let mut event = it["event"].clone();
            event["position"] = it["position"].clone();
            event
        }));
        if page["isLast"] == true {
            return events;
        }
        from = page["next"].as_u64().unwrap();
    }
}

/// The events of one piece of work, without the trail's own.
pub(crate) fn types_of(events: &[Value], correlation_id: &str) -> Vec<String> {
    events
        .iter()
        .filter(|event| event["correlationId"] == correlation_id)
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .filter(|it| !it.starts_with("audit."))
        .collect()
}

/// The submissions, oldest first.
pub(crate) fn submissions(data: &Path) -> Vec<Submission> {
    let connection = open(data, "samples.sqlite");
    let mut select = connection
        .prepare("SELECT id, status, reason, sample_count FROM submissions ORDER BY seq")
        .unwrap();
    let rows = select.query_map([], |row| {
        Ok(Submission {
            id: row.get(0)?,
            status: row.get(1)?,
            reason: row.get(2)?,
            sample_count: usize::try_from(row.get::<_, i64>(3)?).unwrap(),
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// A number from one of the databases.
pub(crate) fn number(data: &Path, database: &str, query: &str) -> i64 {
    open(data, database)
        .query_row(query, [], |row| row.get(0))
        .unwrap()
}

/// Texts from one of the databases.
pub(crate) fn texts(data: &Path, database: &str, query: &str) -> Vec<String> {
    let connection = open(data, database);
    let mut select = connection.prepare(query).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn open(data: &Path, database: &str) -> Connection {
    Connection::open_with_flags(data.join(database), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// Each event is there once, and each but the trail's own is in the trail once, with one event that tells so.
fn check_events(events: &[Value], data: &Path) {
    let mut ids = BTreeSet::new();
    for event in events {
        assert!(ids.insert(text(event, "id")), "twice: {event}");
    }
    let mut entries: BTreeMap<String, usize> = BTreeMap::new();
    for id in texts(
        data,
        "audit.sqlite",
        "SELECT event_id FROM audit_entries WHERE event_id IS NOT NULL",
    ) {
        *entries.entry(id).or_default() += 1;
    }
    let is_own = |event: &Value| text(event, "type").starts_with("audit.");
    for event in events.iter().filter(|event| !is_own(event)) {
        let count = entries.remove(&text(event, "id"));
        assert_eq!(count, Some(1), "entries of {event}");
    }
    assert_eq!(
        entries,
        BTreeMap::new(),
        "entries of events that are not there"
    );
    let told = of_type(events, "audit.entry_recorded").count();
    // Of who looked at something no event tells: whoever looks at events would make ever more of them.
    let in_all = number(
        data,
        "audit.sqlite",
        "SELECT count(*) FROM audit_entries WHERE action <> 'access.read'",
    );
    assert_eq!(i64::try_from(told).unwrap(), in_all);
    let waiting: i64 = DATABASES
        .iter()
        .map(|name| number(data, name, "SELECT count(*) FROM outbox"))
        .sum();
    assert_eq!(waiting, 0, "events are left in outboxes");
}

/// Each submission has one saga, which has ended, and whose events were told once.
fn check_sagas(server: &Server, events: &[Value], submissions: &[Submission]) {
    let sagas = server.get("/api/sagas?limit=1000").expect(200);
    let sagas = sagas["sagas"].as_array().unwrap();
    for submission in submissions {
        let own: Vec<&Value> = sagas
            .iter()
            .filter(|saga| saga["correlationId"] == submission.id.as_str())
            .collect();
        assert_eq!(own.len(), 1, "{submission:?}: {own:?}");
        let ends: &[&str] = match submission.status.as_str() {
            "accepted" => &["completed"],
            "rejected" => &["compensated", "cancelled"],
            other => panic!("{other}: {submission:?}: {own:?}"),
        };
        let end = own[0]["status"].as_str().unwrap();
        assert!(ends.contains(&end), "{submission:?}: {own:?}");
    }
    for saga in sagas {
        assert!(
            !saga["endedAt"].is_null() && saga["parked"].is_null() && saga["paused"].is_null(),
            "{saga}"
        );
        let id = saga["id"].as_str().unwrap();
        let count = |name: &str| {
            of_type(events, name)
                .filter(|event| event["data"]["sagaId"] == id)
                .count()
        };
        let ended = count("saga.completed") + count("saga.failed");
        assert_eq!((count("saga.started"), ended), (1, 1), "{saga}");
        for step in saga["steps"].as_array().unwrap() {
            let told = of_type(events, "saga.step_completed")
                .filter(|event| event["data"]["sagaId"] == id)
                .filter(|event| event["data"]["stepId"] == step["id"])
                .count();
            assert!(told <= 1, "{step} of {saga}");
            assert!(
                saga["status"] != "completed" || told == 1,
                "{step} of {saga}"
            );
        }
    }
}

/// An accepted submission has its samples once, a rejected one has none; returns how many.
fn check_submission(submission: &Submission, events: &[Value], data: &Path, rows: usize) -> usize {
    let id = &submission.id;
    let own = |name: &'static str| -> Vec<&Value> {
        of_type(events, name)
            .filter(|event| event["correlationId"] == id.as_str())
            .collect()
    };
    let kept = texts(
        data,
        "samples.sqlite",
        &format!("SELECT id FROM samples WHERE submission_id = '{id}'"),
    );
    let results = number(
        data,
        "ai.sqlite",
        &format!(
            "SELECT count(*) FROM extraction_results WHERE submission_id = '{id}' AND status = 'current'"
        ),
    );
    let jobs = number(
        data,
        "ai.sqlite",
        &format!(
            "SELECT count(*) FROM processing_jobs WHERE submission_id = '{id}' AND status IN ('pending', 'processing')"
        ),
    );
    assert_eq!(jobs, 0, "a job of {submission:?} goes on");
    if submission.status == "rejected" {
        assert!(submission.reason.as_ref().is_some_and(|it| it.len() > 10));
        assert_eq!((kept.len(), results), (0, 0), "{submission:?}");
        assert_eq!(own("sample.created").len(), own("sample.deleted").len());
        return 0;
    }
    assert_eq!((kept.len(), results), (rows, 1), "{submission:?}");
    assert_eq!(submission.sample_count, rows);
    let done = number(
        data,
        "audit.sqlite",
        &format!(
            "SELECT count(*) FROM audit_entries WHERE action = 'submission.processed' AND resource_id = '{id}'"
        ),
    );
    assert_eq!(done, 1, "audit entries about {submission:?}");
    for name in ["sample.created", "sample.status_changed"] {
        let told: BTreeSet<String> = own(name).iter().map(|it| text(it, "subject")).collect();
        assert_eq!(told, kept.iter().cloned().collect(), "{name}");
        assert_eq!(own(name).len(), rows, "{name}");
    }
    kept.len()
}

/// Nothing is dead, no count is off, the chain is whole, and the server says that it is ready.
fn check_deliveries(server: &Server) {
    let stats = server.get("/api/stats").expect(200);
    assert_eq!(stats["deadLetterEvents"], 0, "{stats}");
    assert_eq!(stats["sagas"]["stuck"], 0, "{stats}");
    for subscription in stats["subscriptions"].as_array().unwrap() {
        assert_eq!(subscription["isConserved"], true, "{subscription}");
        assert_eq!(subscription["ahead"], 0, "{subscription}");
    }
    let chain = server.get("/api/audit/verify").expect(200);
    assert_eq!(chain["ok"], true, "{chain}");
    let ready = server.get("/health/ready").expect(200);
    assert_eq!(ready["status"], "ready", "{ready}");
}

/// The events of one type.
pub(crate) fn of_type<'a>(events: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["type"] == name)
}

fn text(event: &Value, field: &str) -> String {
    event[field]
        .as_str()
        .unwrap_or_else(|| panic!("no `{field}`: {event}"))
        .to_owned()
}
