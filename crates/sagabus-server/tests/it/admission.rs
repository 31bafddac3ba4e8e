//! More than there is room for: refused without a trace, or waited for; never in the way of a start.

use sagabus::sqlite::rusqlite::Connection;
use serde_json::Value;

use crate::program::{Place, Server, form_bytes, sagabus, until};

/// Forms that are handed in at one time, far more than are read meanwhile.
const FORMS: usize = 12;

/// A server with room for one saga at a time, and none that waits.
fn narrow(place: &Place) -> Server {
    let data = place.data_text();
    let mut command = sagabus(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    command.env("SAGA_MAX_ACTIVE_SAGAS", "1");
    Server::spawn(place, command.env("SAGA_MAX_QUEUED_SAGAS", "0"))
}

/// How many submissions there are, and how many of them were accepted.
fn submissions(server: &Server) -> (usize, usize) {
    let page = server.get("/api/submissions?limit=100").expect(200);
    let all = page["submissions"].as_array().unwrap();
    let accepted = all.iter().filter(|it| it["status"] == "accepted").count();
    (all.len(), accepted)
}

#[test]
fn a_form_that_there_is_no_room_for_leaves_nothing_and_one_that_was_stored_is_no_reason_not_to_start()
 {
    let place = Place::new();
    let server = narrow(&place);
    let form = form_bytes("small.pdf");
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let sent: Vec<_> = (0..FORMS)
            .map(|number| {
                let request = server.request("POST", "/api/submissions");
                let request = request.upload(&format!("form-{number}.pdf"), &form, &[]);
                scope.spawn(move || request.send().status)
            })
            .collect();
        sent.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let taken = answers.iter().filter(|it| **it == 202).count();
    let refused = answers.iter().filter(|it| **it == 507).count();
    assert_eq!(taken + refused, FORMS, "{answers:?}");
    assert!(taken > 0 && refused > 0, "{answers:?}");
    until("forms are accepted", || {
        (submissions(&server).1 == taken).then_some(())
    });
    assert_eq!(submissions(&server), (taken, taken));
    server.kill();

    // As if the process had ended between both parts of a request, three times.
    let file = Connection::open(place.data().join("samples.sqlite")).unwrap();
    for number in 1..=3 {
        let copy = "INSERT INTO submissions (id, number, file_name, file_id, status, created_ms, updated_ms) \
                    SELECT 'late-' || ?1, 'SUBM-90000' || ?1, file_name, file_id, 'received', created_ms, updated_ms \
                    FROM submissions LIMIT 1";
        assert_eq!(file.execute(copy, [number]).unwrap(), 1);
    }
    drop(file);
    let server = narrow(&place);
    until("what was left is accepted", || {
        (submissions(&server) == (taken + 3, taken + 3)).then_some(())
    });
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_key_of_one_form_takes_no_other() {
    let place = Place::new();
    let server = Server::start(&place);
    let form = form_bytes("small.pdf");
    let send = |form: &[u8], key: &str| {
        let request = server.request("POST", "/api/submissions");
        let request = request.header("idempotency-key", key);
        request.upload("form.pdf", form, &[]).send()
    };
    let first = send(&form, "k").expect(202);
    let again = send(&form, "k").expect(202);
    assert_eq!(first["submissionId"], again["submissionId"]);
    let other = [&form[..], b"\n% another\n"].concat();
    send(&other, "k").expect_problem(409, &["key", "another document"]);
    send(&form, "").expect_problem(400, &["Idempotency-Key", "1 to 255"]);
    let page: Value = server.get("/api/submissions").expect(200);
    assert_eq!(page["submissions"].as_array().unwrap().len(), 1);
}
