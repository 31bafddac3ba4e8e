//! How texts become values of headers.

use super::*;

#[test]
fn a_text_becomes_a_header_and_comes_back() {
    for (text, value) in [
        ("plain-1.0", "plain-1.0"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("a \"b\" 100%", "a%20%22b%22%20100%25"),
        ("%41", "%2541"),
        ("line\r\nend\0", "line%0D%0Aend%00"),
        ("", ""),
    ] {
        assert_eq!(encoded(text), value);
        assert_eq!(decoded(value.as_bytes()).as_deref(), Some(text));
    }
}

#[test]
fn values_that_other_senders_write_are_understood() {
    for (value, text) in [
        ("a b", Some("a b")),
        ("%e2%82%ac", Some("€")),
        ("€", Some("€")),
        (r#""quoted \"text\"""#, Some("quoted \"text\"")),
        ("100%", None),
        ("%4", None),
        ("%zz", None),
        ("%ff", None),
        (r#""open\""#, None),
    ] {
        assert_eq!(decoded(value.as_bytes()).as_deref(), text, "{value}");
    }
}
