//! Addresses and what stands in them.

use super::{Client, encoded};

#[test]
fn a_text_in_an_address_has_no_sign_of_its_own() {
    assert_eq!(encoded("audit-service_1.~"), "audit-service_1.~");
    assert_eq!(encoded("a/b c&d=ü%"), "a%2Fb%20c%26d%3D%C3%BC%25");
}

#[test]
fn only_a_plain_address_of_a_server_is_taken() {
    for url in [
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:1/",
    ] {
        assert!(Client::new(url).is_ok(), "{url}");
    }
    for url in [
        "https://127.0.0.1",
        "127.0.0.1:8080",
        "http://127.0.0.1/api",
        "",
    ] {
        let refused = Client::new(url).unwrap_err();
        assert!(refused.text.contains("http://127.0.0.1:8080"), "{url}");
    }
}
