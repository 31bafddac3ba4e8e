//! Each verb of an operator, done by its command to a saga of a running server that got stuck on request.

use serde_json::{Value, json};

use crate::program::{Place, Ran, Server, run, until};

/// What every verb is signed with.
const BY: [&str; 4] = ["--author", "ann", "--reason", "looked at it"];

/// `note` is taken back by a handler that wants a submission, and this saga has none: its compensation is rejected, and
/// `fail` has it tried.
const STUCK: &str = "\
name: stuck
steps:
- {id: note, service: sample-service, action: validate_entry, compensationAction: revert_validation}
- {id: fail, service: audit-service, action: fail_on_request, dependencies: [note]}
";

/// `fail` follows from the pivot.
const FORWARD: &str = "\
name: forward
steps:
- {id: note, service: audit-service, action: create_audit_log, pivot: true}
- {id: fail, service: audit-service, action: fail_on_request, dependencies: [note]}
";

/// Somebody is waited for, with something done that can be taken back.
const WAITING: &str = "\
name: waiting
steps:
- {id: note, service: sample-service, action: validate_entry, compensationAction: revert_entry}
- {id: measure, signal: {name: measured}, dependencies: [note]}
";

struct Desk {
    place: Place,
    server: Server,
    /// What the sagas are about: a sample.
    context: String,
}

impl Desk {
    fn new() -> Self {
        let place = Place::new();
        let server = Server::start(&place);
        let sample = json!({
            "sampleName": "pond 3B", "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
            "sampleType": "DNA", "chartField": "HTSF-001",
        });
        let sample = server.post("/api/samples", &sample).expect(201);
        Self {
            place,
            server,
            context: json!({"sampleId": sample["id"]}).to_string(),
        }
    }

    /// Runs a command against the server.
    fn ask(&self, arguments: &[&str]) -> Ran {
        let url = format!("http://{}", self.server.address());
        run(&[&["saga"], arguments, &["--url", &url]].concat())
    }

    /// Runs a verb, which must be done, and hands over what it prints.
    fn tell(&self, arguments: &[&str]) -> String {
        let ran = self.ask(&[arguments, &BY].concat());
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// A verb that must be refused.
    fn refused(&self, arguments: &[&str], words: &str) {
        let ran = self.ask(&[arguments, &BY].concat());
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
    }

    /// Starts a saga by command.
    fn start(&self, definition: &str) -> String {
        let path = self.place.file("definition.yaml");
        std::fs::write(&path, definition).unwrap();
        let path = path.to_str().unwrap();
        let ran = self.ask(&["start", "--file", path, "--context", &self.context]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        ran.out.trim().to_owned()
    }

    fn saga(&self, id: &str) -> Value {
        self.server.get(&format!("/api/sagas/{id}")).expect(200)
    }

    /// The saga as soon as it is as `is` says.
    fn when(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, || Some(self.saga(id)).filter(&is))
    }

    /// The saga when it is in this status.
    fn at(&self, id: &str, status: &str) -> Value {
        self.when(id, status, |saga| saga["status"] == status)
    }

    fn stuck(&self) -> String {
        let id = self.start(STUCK);
        self.at(&id, "compensation_stuck");
        id
    }

    fn forward_stuck(&self) -> String {
        let id = self.start(FORWARD);
        self.at(&id, "forward_stuck");
        id
    }

    fn waiting(&self) -> String {
        let id = self.start(WAITING);
        self.when(&id, "waiting", |saga| {
            step(saga, "measure")["status"] == "waiting"
        });
        id
    }
}

fn step<'a>(saga: &'a Value, id: &str) -> &'a Value {
    let steps = saga["steps"].as_array().unwrap();
    steps.iter().find(|it| it["id"] == id).unwrap()
}

/// The last thing that an operator did, without its time.
fn last(saga: &Value) -> (String, Value) {
    let operated = saga["operated"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&operated["author"], &operated["reason"]),
        (&json!("ann"), &json!("looked at it"))
    );
    (
        operated["verb"].as_str().unwrap().to_owned(),
        operated["step"].clone(),
    )
}

fn did(verb: &str, step: Option<&str>) -> (String, Value) {
    (verb.to_owned(), json!(step))
}

#[test]
fn a_stuck_compensation_is_tried_again_skipped_forced_or_given_up_by_command() {
    let desk = Desk::new();
    let id = desk.stuck();
    // Tried again, it is rejected again.
    for (again, arguments) in [(2, &["retry", &id, "note"][..]), (3, &["retry", &id])] {
        desk.tell(arguments);
        let saga = desk.when(&id, "stuck again", |saga| {
            saga["status"] == "compensation_stuck"
                && step(saga, "note")["compensationAttempts"] == again
        });
        assert_eq!(last(&saga), did("retry", arguments.get(2).copied()));
    }
    let shown = desk.tell(&["skip", &id, "note"]);
    assert!(shown.contains("by ann: looked at it"), "{shown}");
    let saga = desk.at(&id, "compensated");
    assert_eq!(last(&saga), did("skip", Some("note")));
    assert_eq!(step(&saga, "note")["status"], "compensation_skipped");
    desk.refused(&["skip", &id, "note"], "over");

    let id = desk.stuck();
    desk.tell(&["force-done", &id, "note"]);
    let saga = desk.at(&id, "compensated");
    assert_eq!(last(&saga), did("force-done", Some("note")));
    assert_eq!(step(&saga, "note")["status"], "compensation_forced");
    assert_eq!(saga["inconsistent"], false);

    let id = desk.stuck();
    desk.refused(&["recompensate", &id, "note"], "not over");
    desk.tell(&["abandon", &id]);
    let saga = desk.at(&id, "failed");
    assert_eq!(last(&saga), did("abandon", None));
    assert_eq!(
        (&saga["inconsistent"], &saga["unsettled"]),
        (&json!(true), &json!(["note"]))
    );
}

#[test]
fn a_saga_that_is_stuck_behind_its_pivot_goes_on_or_is_given_up_by_command() {
    let desk = Desk::new();
    let id = desk.forward_stuck();
    desk.refused(&["cancel", &id], "pivot");
    desk.tell(&["retry", &id, "fail"]);
    let saga = desk.when(&id, "stuck again", |saga| {
        saga["status"] == "forward_stuck" && step(saga, "fail")["attempts"] == 2
    });
    assert_eq!(last(&saga), did("retry", Some("fail")));
    desk.tell(&["skip", &id, "fail"]);
    let saga = desk.at(&id, "completed");
    assert_eq!(step(&saga, "fail")["status"], "skipped");

    let id = desk.forward_stuck();
    desk.tell(&["complete", &id, "fail", "--result", "{\"by\": \"hand\"}"]);
    let saga = desk.at(&id, "completed");
    assert_eq!(last(&saga), did("complete", Some("fail")));
    let shown = desk.ask(&["show", &id, "--outputs"]).out;
    assert!(
        shown.contains("output of fail: {\"by\":\"hand\"}"),
        "{shown}"
    );

    let id = desk.forward_stuck();
    desk.tell(&["abandon", &id]);
    assert_eq!(desk.at(&id, "failed")["inconsistent"], true);
    let shown = desk.ask(&["show", &id]).out;
    assert!(shown.contains("work left "), "{shown}");
}

#[test]
fn a_saga_in_flight_is_cancelled_or_ended_and_what_it_left_is_taken_back_by_command() {
    let desk = Desk::new();
    let id = desk.waiting();
    desk.tell(&["cancel", &id]);
    let saga = desk.at(&id, "cancelled");
    assert_eq!(last(&saga), did("cancel", None));
    assert_eq!(saga["turnedBackBy"], "cancel");
    assert_eq!(step(&saga, "note")["status"], "compensated");

    let id = desk.waiting();
    desk.tell(&["pause", &id]);
    assert_eq!(desk.saga(&id)["status"], "paused");
    desk.tell(&["resume", &id]);
    desk.tell(&["terminate", &id]);
    let saga = desk.saga(&id);
    assert_eq!(saga["status"], "terminated");
    assert_eq!(last(&saga), did("terminate", None));
    assert_eq!(
        (&saga["inconsistent"], &saga["unsettled"]),
        (&json!(true), &json!(["note"]))
    );
    let shown = desk.ask(&["show", &id]).out;
    let left = shown.lines().find(|it| it.starts_with("effects left"));
    assert_eq!(left, Some("effects left note"), "{shown}");
    let found = |inconsistent: bool| -> Vec<Value> {
        let path = format!("/api/sagas?inconsistent={inconsistent}&status=terminated");
        let page = desk.server.get(&path).expect(200);
        let sagas = page["sagas"].as_array().unwrap().clone();
        sagas.into_iter().map(|saga| saga["id"].clone()).collect()
    };
    assert_eq!((found(true), found(false)), (vec![json!(id)], vec![]));
    let listed = desk.ask(&["list", "--inconsistent"]).out;
    let row = listed.lines().find(|it| it.starts_with(&id)).unwrap();
    assert!(row.contains("effects left: note"), "{row}");
    desk.tell(&["recompensate", &id, "note"]);
    let saga = desk.when(&id, "repaired", |saga| saga["inconsistent"] == false);
    assert_eq!(last(&saga), did("recompensate", Some("note")));
    assert_eq!(
        (&saga["status"], &saga["unsettled"]),
        (&json!("terminated"), &json!([]))
    );
    assert_eq!(step(&saga, "note")["status"], "compensated");
    assert_eq!((found(true), found(false)), (vec![], vec![json!(id)]));
    assert!(!desk.ask(&["list", "--inconsistent"]).out.contains(&id));
    desk.refused(&["recompensate", &id, "note"], "nothing left to repair");
}
