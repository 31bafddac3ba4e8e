//! What led to what: from an upload to the entries of the trail.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::{Place, Server, form_bytes};
use crate::world;

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("no `{field}`: {value}"))
}

#[test]
fn all_that_follows_from_an_upload_is_one_tree_with_the_upload_at_its_root_and_stands_in_the_trail_so()
 {
    let place = Place::new();
    let server = Server::start(&place);
    for (name, form) in [("good.pdf", "small.pdf"), ("bad.pdf", "out-of-range.pdf")] {
        let taken = server
            .request("POST", "/api/submissions")
            .header("x-user-id", "ada")
            .upload(name, &form_bytes(form), &[])
            .send()
            .expect(202);
        world::settle(&server, &place.data());
        let id = text(&taken, "submissionId");
        let events = world::all_events(&server);
        let own: Vec<&Value> = events
            .iter()
            .filter(|event| event["correlationId"] == id)
            .collect();
        assert!(own.len() > 10, "{own:?}");
        // Back from each, cause by cause, is the upload.
        let by_id: BTreeMap<&str, &Value> = own.iter().map(|it| (text(it, "id"), *it)).collect();
        for event in &own {
            let (mut at, mut steps) = (*event, 0);
            while let Some(cause) = at["causationId"].as_str() {
                at = by_id
                    .get(cause)
                    .unwrap_or_else(|| panic!("what led to {at}?"));
                steps += 1;
                assert!(steps < own.len(), "{event} led to itself");
            }
            assert_eq!(text(at, "type"), "submission.created", "first of {event}");
        }
        // The trail says the same of each, but for what it tells of itself.
        let told = own
            .iter()
            .filter(|it| !text(it, "type").starts_with("audit."));
        let causes: BTreeMap<&str, &Value> = told
            .map(|it| (text(it, "id"), &it["causationId"]))
            .collect();
        let page = server
            .get(&format!("/api/audit/events?correlationId={id}&limit=100"))
            .expect(200);
        let entries = page["events"].as_array().unwrap();
        let of_events: BTreeMap<&str, &Value> = entries
            .iter()
            .filter(|entry| !entry["eventId"].is_null())
            .map(|entry| (text(entry, "eventId"), &entry["causationId"]))
            .collect();
        assert_eq!(of_events, causes);
    }
}
