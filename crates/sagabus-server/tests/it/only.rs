//! A process that serves some of the services: what is there, what is not, and what waits until it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::openapi::NOT_SERVED;
use crate::program::{Place, Server, finish, form_bytes, run, sagabus, until, until_or_told};
use crate::world::{self, number};

/// What one service brings along.
#[derive(Clone, Copy, Debug)]
struct Brought {
    word: &'static str,
    files: &'static [&'static str],
    routes: &'static [&'static str],
    metrics: &'static [&'static str],
    subscriptions: &'static [&'static str],
}

const SAMPLE: Brought = Brought {
    word: "sample",
    files: &["samples.sqlite"],
    routes: &[
        "/api/samples",
        "/api/submissions",
        "/api/queue",
        "/api/flow-cells",
        "/api/qc/decisions",
    ],
    metrics: &["samples_by_status", "database=\"sample-service\""],
    subscriptions: &["qc-decisions", "qc-failures", "sample-service"],
};
const AI: Brought = Brought {
    word: "ai",
    files: &["ai.sqlite", "uploads"],
    routes: &["/api/jobs", "/api/reviews", "/api/ai/stats"],
    metrics: &["ai_processing_queue_size", "database=\"ai-service\""],
    subscriptions: &[],
};
const AUDIT: Brought = Brought {
    word: "audit",
    files: &["audit.sqlite", "audit.key"],
    routes: &["/api/audit/events", "/api/audit/verify", "/api/audit/key"],
    metrics: &["database=\"audit-service\""],
    subscriptions: &["audit-service"],
};

fn serve(place: &Place, services: &[Brought]) -> Server {
    let words = services.iter().flat_map(|it| ["--only", it.word]);
    Server::start_with(place, &words.collect::<Vec<_>>())
}

/// All of the system that is there of these services, and nothing of the others.
fn check(services: &[Brought]) {
    let place = Place::new();
    let server = serve(&place, services);
    let words: Vec<&str> = services.iter().map(|it| it.word).collect();
    let told = format!("only {}", words.join(" and "));
    assert!(server.said.trim_end().ends_with(&told), "{}", server.said);
    let metrics = server.get("/metrics").text();
    let document = server.get("/openapi.json").expect(200);
    for it in [SAMPLE, AI, AUDIT] {
        let is_here = words.contains(&it.word);
        for file in it.files {
            assert_eq!(place.data().join(file).exists(), is_here, "{file}: {told}");
        }
        for metric in it.metrics {
            assert_eq!(metrics.contains(metric), is_here, "{metric}: {told}");
        }
        for route in it.routes {
            assert_eq!(document["paths"][route].is_object(), is_here, "{route}");
            match is_here {
                true => drop(server.get(route).expect(200)),
                false => {
                    let asked = format!("{route}?colour=red");
                    for (method, path) in [("GET", *route), ("DELETE", *route), ("GET", &asked)] {
                        check_refused(&server, method, path, &told);
                    }
                }
            }
        }
    }
    check_refused(&server, "POST", "/api/submissions", &told);
    check_document(&document);
    let ready = server.get("/health/ready").expect(200);
    assert_eq!(ready["status"], "ready", "{ready}");
    assert_eq!(ready.get("pdfWorker").is_some(), words.contains(&"ai"));
    check_bus(&server, services);
    let form = json!({"name": "sample_processing_workflow", "context": {}});
    let refused = server.post("/api/sagas", &form);
    refused.expect_problem(404, &[NOT_SERVED, "sample_processing_workflow"]);
    let ran = server.terminate();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for word in ["these services are not here", "sample_processing_workflow"] {
        assert!(ran.err.contains(word), "{word}: {}", ran.err);
    }
    let unrecorded = ran.err.contains("who looks at data is not recorded");
    assert_eq!(unrecorded, !words.contains(&"audit"), "{}", ran.err);
}

fn check_refused(server: &Server, method: &str, path: &str, told: &str) {
    let answer = server.request(method, path).send();
    answer.expect_problem(404, &[&format!("this process serves {told}")]);
}

/// The document has the routes that are there as the reference has them, and no group without one.
fn check_document(document: &Value) {
    let all: Value = serde_json::from_str(&run(&["reference", "openapi"]).out).unwrap();
    let mut used = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert_eq!(operation, &all["paths"][path][method], "{method} {path}");
            used.insert(operation["tags"][0].as_str().unwrap());
        }
    }
    let tags = document["tags"].as_array().unwrap();
    let tags: BTreeSet<&str> = tags.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(tags, used);
    for path in ["/api/events", "/api/sagas", "/api/dead-letters", "/metrics"] {
        assert!(
            used.len() > 5 && document["paths"][path].is_object(),
            "{path}"
        );
    }
}

/// The bus works, with the subscriptions of what is there.
fn check_bus(server: &Server, services: &[Brought]) {
    let event = json!({"type": "lab.note", "source": "bench-3", "data": {}});
    server.post("/api/events", &event).expect(201);
    let events = world::all_events(server);
    assert_eq!(world::of_type(&events, "lab.note").count(), 1);
    let stats = server.get("/api/stats").expect(200);
    let running = stats["subscriptions"].as_array().unwrap().iter();
    let running: BTreeSet<&str> = running.map(|it| it["name"].as_str().unwrap()).collect();
    let brought = services.iter().flat_map(|it| it.subscriptions);
    assert_eq!(running, brought.copied().collect());
}

#[test]
fn the_sample_service_alone_has_all_that_is_its_own_and_nothing_of_others() {
    check(&[SAMPLE]);
}

#[test]
fn the_ai_service_alone_has_all_that_is_its_own_and_nothing_of_others() {
    check(&[AI]);
}

#[test]
fn the_audit_service_alone_has_all_that_is_its_own_and_nothing_of_others() {
    check(&[AUDIT]);
}

#[test]
fn two_services_have_all_that_is_their_own_and_nothing_of_the_third() {
    check(&[SAMPLE, AI]);
}

fn enter(server: &Server, name: &str) -> String {
    let sample = json!({
        "sampleName": name, "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001",
    });
    let made = server.post("/api/samples", &sample).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_trail_alone_catches_up_with_what_happened_without_it_and_a_full_process_goes_on() {
    let place = Place::new();
    let data = place.data();
    let samples = serve(&place, &[SAMPLE]);
    let entered: Vec<String> = ["pond 3B", "pond 3C"].map(|it| enter(&samples, it)).into();
    // Nobody hears of them yet, and looking at them is no entry.
    samples.get("/api/samples").expect(200);
    assert_eq!(samples.terminate().code, Some(0));
    assert!(!data.join("audit.sqlite").exists());
    let trail = serve(&place, &[AUDIT]);
    for id in &entered {
        let path = format!("/api/audit/events?action=sample.created&resourceId={id}");
        let told = || trail.get(&path).expect(200)["total"].as_u64();
        until("the entry of a sample", || {
            (told() == Some(1)).then_some(())
        });
    }
    assert_eq!(trail.terminate().code, Some(0));
    let server = Server::start(&place);
    let upload = server.request("POST", "/api/submissions");
    let upload = upload.upload("small.pdf", &form_bytes("small.pdf"), &[]);
    upload.send().expect(202);
    let checked = world::check(&server, &data, 3);
    assert_eq!((checked.submissions, checked.accepted), (1, 1));
    let in_all = number(&data, "samples.sqlite", "SELECT count(*) FROM samples");
    assert_eq!(in_all, 5);
}

/// Forms that are handed in: their sagas take longer than the test, with one entry of the trail a second.
const FORMS: usize = 4;

/// The sagas that are not over, with what each lacks.
fn waiting(server: &Server) -> Vec<Value> {
    let sagas = server.get("/api/sagas?limit=1000").expect(200);
    let sagas = sagas["sagas"].as_array().unwrap().iter();
    sagas
        .filter(|it| it["endedAt"].is_null())
        .cloned()
        .collect()
}

#[test]
fn sagas_of_a_full_process_wait_at_steps_of_services_that_are_not_here_and_say_so() {
    let place = Place::new();
    let data = place.data_text();
    let mut slow = sagabus(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    slow.env("SAGA_SERVICE_LIMITS", "audit-service=@1");
    let server = Server::spawn(&place, &mut slow);
    for _ in 0..FORMS {
        let upload = server.request("POST", "/api/submissions");
        let upload = upload.upload("small.pdf", &form_bytes("small.pdf"), &[]);
        upload.send().expect(202);
    }
    server.kill();
    // Each round takes them no further than to the trail, and harms none.
    for _ in 0..3 {
        let server = serve(&place, &[SAMPLE, AI]);
        let parked = until_or_told("sagas that wait for the trail", || {
            let all = waiting(&server);
            let is_there = |saga: &Value| {
                let steps = saga["steps"].as_array().unwrap();
                steps[..3].iter().all(|it| it["status"] == "completed")
            };
            match all.iter().all(is_there) {
                true => Ok(all),
                false => Err(format!("{all:?}")),
            }
        });
        assert!(!parked.is_empty());
        for saga in &parked {
            let lacks =
                "step `create_audit_log` has no handler for `audit-service/create_audit_log`";
            assert_eq!(saga["parked"], lacks, "{saga}");
        }
        let url = format!("http://{}", server.address());
        let id = parked[0]["id"].as_str().unwrap();
        let shown = run(&["saga", "show", id, "--url", &url]);
        assert!(
            shown.out.contains("audit-service/create_audit_log"),
            "{shown:?}"
        );
        let ready = server.get("/health/ready").expect(200);
        let warnings = ready["warnings"].to_string();
        assert!(
            warnings.contains("lack a handler in this process"),
            "{ready}"
        );
        assert_eq!(server.terminate().code, Some(0));
    }
    let server = Server::start(&place);
    let checked = world::check(&server, &place.data(), 3);
    assert_eq!((checked.submissions, checked.accepted), (FORMS, FORMS));
}

#[test]
fn settings_of_a_service_that_is_not_here_are_read_and_limit_nothing() {
    let place = Place::new();
    let data = place.data_text();
    let audit = |settings: &[(&str, &str)]| {
        let mut command = sagabus(&["serve", "--listen", "127.0.0.1:0", "--only", "audit"]);
        command.args(["--data-dir", &data]);
        command.envs(settings.iter().copied());
        command
    };
    let wrong = finish(&mut audit(&[("AI_LLM_URL", "mail:me")]));
    assert!(wrong.err.contains("AI_LLM_URL"), "{wrong:?}");
    assert_eq!(wrong.code, Some(1));
    let wrong = finish(&mut audit(&[("SAGA_SERVICE_LIMITS", "ai=4")]));
    assert!(wrong.err.contains("`ai=4`, whose service"), "{wrong:?}");
    let mut good = audit(&[
        ("AI_LLM_URL", "http://127.0.0.1:1/v1"),
        ("SAGA_SERVICE_LIMITS", "ai-service=4"),
        ("EVENT_BUS_MAX_LISTENERS", "1"),
    ]);
    assert_eq!(Server::spawn(&place, &mut good).terminate().code, Some(0));
    let mut samples = sagabus(&["serve", "--listen", "127.0.0.1:0", "--only", "sample"]);
    samples.args(["--data-dir", &data]);
    samples.env("EVENT_BUS_MAX_LISTENERS", "2");
    let few = finish(&mut samples);
    assert!(few.err.contains("from 3 to 10000"), "{few:?}");
    let unknown = run(&["serve", "--only", "reports"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("sample, ai, audit"), "{unknown:?}");
}
