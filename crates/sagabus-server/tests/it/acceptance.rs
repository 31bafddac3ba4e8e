//! A day at the facility, as people had it before this program: what has to work from outside, and within what time.

use std::collections::BTreeSet;
use std::time::Duration;

use sagabus::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::openapi::words_beside_names;
use crate::program::{Place, Server};
use crate::world::{self, all_events, of_type};

/// The steps of every sample, in order.
const STAGES: [&str; 8] = [
    "sample_qc",
    "library_prep",
    "library_qc",
    "sequencing_setup",
    "sequencing_run",
    "basecalling",
    "quality_assessment",
    "data_delivery",
];

fn fields(name: &str) -> Value {
    json!({
        "sampleName": name, "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001",
    })
}

fn post(server: &Server, path: &str, body: &Value) -> Value {
    let request = server.request("POST", path).header("x-user-id", "grace");
    request.json(body).send().expect(200)
}

#[test]
fn a_sample_goes_from_its_entry_to_the_archive_and_each_step_is_told_and_in_the_trail() {
    let place = Place::new();
    let server = Server::start(&place);
    let made = server.post("/api/samples", &fields("pond 3B")).expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let at = |what: &str| format!("/api/samples/{id}/{what}");
    post(&server, &at("receive"), &json!({}));
    post(&server, &at("assign"), &json!({"assignedTo": "Grace"}));
    let mut statuses = Vec::new();
    for stage in STAGES {
        let sample = server.get(&format!("/api/samples/{id}")).expect(200);
        assert_eq!(sample["stage"], stage);
        post(&server, &at(&format!("steps/{stage}/start")), &json!({}));
        let results = json!({"results": {"note": format!("{stage} 1e2")}});
        let done = post(&server, &at(&format!("steps/{stage}/complete")), &results);
        assert!(!done.is_null());
        let sample = server.get(&format!("/api/samples/{id}")).expect(200);
        statuses.push(sample["status"].as_str().unwrap().to_owned());
    }
    statuses.dedup();
    assert_eq!(statuses, ["prep", "sequencing", "analysis", "completed"]);
    for status in ["distributed", "archived"] {
        post(&server, &at("status"), &json!({"status": status}));
    }
    let sample = server.get(&format!("/api/samples/{id}")).expect(200);
    assert_eq!(sample["status"], "archived", "{sample}");
    assert!(sample["completedAt"].is_string(), "{sample}");
    world::settle(&server, &place.data());
    let events = all_events(&server);
    for (name, times) in [
        ("sample.created", 1),
        ("sample.assigned", 1),
        ("sample.processing_started", 8),
        ("sample.processing_completed", 8),
    ] {
        assert_eq!(of_type(&events, name).count(), times, "{name}");
    }
    let own = |name: &'static str, pointer: &'static str| -> Vec<Value> {
        let own = of_type(&events, name).filter(|it| it["subject"] == json!(id));
        own.map(|it| it["data"].pointer(pointer).unwrap().clone())
            .collect()
    };
    let all = [
        "prep",
        "sequencing",
        "analysis",
        "completed",
        "distributed",
        "archived",
    ];
    assert_eq!(own("sample.status_changed", "/newStatus"), all);
    let results = STAGES.map(|it| format!("{it} 1e2"));
    assert_eq!(own("sample.processing_completed", "/results/note"), results);
    let about = events
        .iter()
        .filter(|it| it["subject"] == json!(id))
        .count();
    let query = format!("/api/audit/events?resource=sample&resourceId={id}&limit=100");
    let trail = server.get(&query).expect(200);
    let changes = trail["events"].as_array().unwrap().iter();
    let changes = changes.filter(|it| it["action"] != "access.read").count();
    assert_eq!(changes, about, "{trail}");
    let exported = server.get("/api/samples/export?format=json&status=archived");
    assert!(exported.text().contains("pond 3B"));
    world::check(&server, &place.data(), 0);
}

#[test]
fn an_empty_facility_has_empty_lists_counts_of_nothing_and_an_export_with_its_head_alone() {
    let place = Place::new();
    let server = Server::start(&place);
    for (path, list) in [
        ("/api/samples", "samples"),
        ("/api/samples/search?q=pond", "samples"),
        ("/api/samples/status/prep", "samples"),
        ("/api/queue", "queue"),
        ("/api/submissions", "submissions"),
        ("/api/projects", "projects"),
        ("/api/flow-cells", "flowCells"),
        ("/api/qc/decisions", "decisions"),
        ("/api/jobs", "jobs"),
        ("/api/reviews", "reviews"),
    ] {
        let page = server.get(path).expect(200);
        assert_eq!(
            (&page[list], &page["total"]),
            (&json!([]), &json!(0)),
            "{path}"
        );
    }
    let counts = server.get("/api/statistics").expect(200);
    assert_eq!(counts["totalSamples"], 0, "{counts}");
    let table = server.get("/api/samples/export").text();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 1, "{table}");
    assert!(lines[0].contains("Sample Name,Project ID"), "{table}");
}

#[test]
fn samples_that_are_made_at_the_same_time_are_each_there_once_with_their_event() {
    const PEOPLE: usize = 16;
    const EACH: usize = 8;
    let place = Place::new();
    let server = Server::start(&place);
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let work = |person: usize| {
            let server = &server;
            scope.spawn(move || {
                let make = |number: usize| {
                    let fields = fields(&format!("pond {person}-{number}"));
                    let made = server.post("/api/samples", &fields).expect(201);
                    made["id"].as_str().unwrap().to_owned()
                };
                (0..EACH).map(make).collect::<Vec<_>>()
            })
        };
        let people: Vec<_> = (0..PEOPLE).map(work).collect();
        people
            .into_iter()
            .flat_map(|it| it.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), PEOPLE * EACH);
    let list = server.get("/api/samples?limit=1000").expect(200);
    let listed = list["samples"].as_array().unwrap().iter();
    let listed: BTreeSet<String> = listed
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, ids);
    world::check(&server, &place.data(), 0);
    let events = all_events(&server);
    let told: Vec<String> = of_type(&events, "sample.created")
        .map(|it| it["subject"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told.len(), ids.len());
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), ids);
}

#[test]
fn lists_searches_filters_and_counts_of_thousands_of_samples_are_right_and_say_how_long_they_take()
{
    let place = Place::new();
    let server = Server::start(&place);
    for part in 0..5 {
        let rows: Vec<Value> = (0..1_000)
            .map(|row| {
                let mut fields = fields(&format!("pond {part}-{row}"));
                fields["priority"] = json!(["low", "normal", "high", "urgent"][row % 4]);
                fields["chartField"] = json!(["HTSF-001", "NANO-001"][row % 2]);
                fields
            })
            .collect();
        let taken = server.post("/api/submissions/ingest", &json!({"samples": rows}));
        taken.expect(201);
    }
    let mut slowest = Duration::ZERO;
    for (path, total) in [
        ("/api/samples", Some(5_000)),
        ("/api/samples?limit=1000&page=5", Some(5_000)),
        ("/api/samples?priority=urgent", Some(1_250)),
        ("/api/samples/search?q=4-99", Some(11)),
        ("/api/samples/search?q=nowhere", Some(0)),
        (
            "/api/samples?status=submitted&chartField=HTSF-001&limit=10",
            Some(2_500),
        ),
        ("/api/samples?status=prep", Some(0)),
        ("/api/queue?show=expected", Some(5_000)),
        ("/api/submissions", Some(5)),
        ("/api/statistics", None),
        ("/metrics", None),
    ] {
        let began = SystemClock.elapsed();
        let answer = server.get(path);
        let spent = SystemClock.elapsed().saturating_sub(began);
        assert_eq!(answer.status, 200, "{path}");
        if let Some(total) = total {
            assert_eq!(answer.json()["total"], total, "{path}");
        }
        slowest = slowest.max(spent);
    }
    let mut names = BTreeSet::new();
    for page in 1..=5 {
        let list = server.get(&format!("/api/samples?limit=1000&page={page}"));
        let list = list.expect(200);
        let samples = list["samples"].as_array().unwrap().iter();
        names.extend(samples.map(|it| it["sampleName"].as_str().unwrap().to_owned()));
        assert_eq!(names.len(), page * 1_000);
    }
    let found = server.get("/api/samples/search?q=4-99").expect(200);
    for sample in found["samples"].as_array().unwrap() {
        assert!(
            sample["sampleName"].as_str().unwrap().contains("4-99"),
            "{sample}"
        );
    }
    let counts = server.get("/api/statistics").expect(200);
    assert_eq!(counts["totalSamples"], 5_000, "{counts}");
    assert_eq!(counts["samplesByStatus"], json!({"submitted": 5_000}));
    let each = json!({"low": 1_250, "normal": 1_250, "high": 1_250, "urgent": 1_250});
    assert_eq!(counts["samplesByPriority"], each);
    println!("slowest look at 5,000 samples: {} ms", slowest.as_millis());
}

#[test]
fn an_account_that_nobody_said_is_missing_whichever_way_samples_come_in() {
    let place = Place::new();
    let server = Server::start(&place);
    let mut row = fields("pond 3B");
    row.as_object_mut().unwrap().remove("chartField");
    let bare = server.post("/api/samples", &row);
    bare.expect_problem(400, &["chartField"]);
    let rows = server.post("/api/submissions/ingest", &json!({"samples": [row]}));
    rows.expect_problem(400, &["chartField"]);
    let table = "Sample Name,Submitter,Email,Type\npond 3B,Ada Lovelace,ada@lab.example.edu,DNA\n";
    let request = server.request("POST", "/api/submissions/import");
    let imported = request.body("text/csv", table).send();
    imported.expect_problem(400, &["chartField"]);
    // A form of the facility has no place for it: its samples have none, and nobody else's.
    let form = crate::program::form_bytes("small.pdf");
    let taken = server.request("POST", "/api/submissions");
    taken.upload("small.pdf", &form, &[]).send().expect(202);
    world::check(&server, &place.data(), 3);
    let list = server.get("/api/samples").expect(200);
    for sample in list["samples"].as_array().unwrap() {
        assert!(sample["chartField"].is_null(), "{sample}");
    }
}

#[test]
fn a_route_with_a_word_of_its_own_is_not_taken_for_one_with_an_id() {
    let place = Place::new();
    let server = Server::start(&place);
    let paths = words_beside_names();
    for known in [
        "/api/jobs/stats",
        "/api/samples/search",
        "/api/sagas/health",
    ] {
        assert!(paths.contains(known), "{paths:?}");
    }
    // A stream does not end; streams.rs looks at it.
    let ends = |path: &String| path != "/api/events/stream";
    for path in paths.into_iter().filter(ends) {
        // What is answered must fit what the document says of that route, and not of the other.
        let answer = server.get(&path);
        let text = answer.text();
        assert!(
            answer.status != 404 && answer.status != 405,
            "{path}: {text}"
        );
    }
}
