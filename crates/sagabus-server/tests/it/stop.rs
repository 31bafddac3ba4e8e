//! Told to end while there is work: it ends soon, says what goes on later, and then it does.

use std::time::Duration;

use sagabus::{Clock, SystemClock};

use crate::program::{Place, Server, form_bytes, signal};
use crate::world;

/// Forms that are handed in at once.
const FORMS: usize = 12;
/// Most time from the signal to the end.
const END_MAX: Duration = Duration::from_secs(10);

#[test]
fn a_server_told_to_end_under_work_ends_with_zero_and_its_work_goes_on() {
    let place = Place::new();
    for name in ["TERM", "INT"] {
        let server = Server::start(&place);
        for index in 0..FORMS {
            server
                .request("POST", "/api/submissions")
                .header("idempotency-key", &format!("{name}-{index}"))
                .upload("large.pdf", &form_bytes("small.pdf"), &[])
                .send()
                .expect(202);
        }
        let began = SystemClock.elapsed();
        signal(server.id(), name);
        let ran = server.wait();
        let spent = SystemClock.elapsed().saturating_sub(began);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(spent < END_MAX, "{spent:?}");
        println!(
            "SIG{name}: ended in {} ms; {}",
            spent.as_millis(),
            ran.out.trim()
        );
    }
    let server = Server::start(&place);
    let checked = world::check(&server, &place.data(), 3);
    assert_eq!(
        (checked.submissions, checked.accepted),
        (2 * FORMS, 2 * FORMS)
    );
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_server_told_to_end_the_moment_it_serves_ends_in_order() {
    let place = Place::new();
    for _ in 0..20 {
        assert_eq!(Server::start(&place).terminate().code, Some(0));
    }
}
