//! Only this machine is let in.

use super::*;

#[test]
fn only_requests_to_this_machine_by_its_own_name_are_local() {
    for (host, origin, expected) in [
        ("127.0.0.1:8080", None, true),
        ("localhost", None, true),
        ("[::1]:8080", None, true),
        ("localhost:8080", Some("http://localhost:8080"), true),
        ("evil.example:8080", None, false),
        ("127.0.0.1.evil.example", None, false),
        ("localhost:8080", Some("https://evil.example"), false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(is_local(&headers), expected, "{host} {origin:?}");
    }
}
