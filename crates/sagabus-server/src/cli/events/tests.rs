//! What arrives is read in whatever pieces it comes.

use serde_json::json;

use super::*;

#[test]
fn messages_are_whole_however_they_are_cut() {
    let sent = b"retry: 1000\nid: 4\n\nid: 5\ndata: {\"a\":\ndata: 1}\n\n:\nid: 9\n\n";
    let expected = [(4, None), (5, Some(json!({"a": 1}))), (9, None)];
    let expected = expected.map(|(position, event)| Message { position, event });
    for size in 1..=sent.len() {
        let mut messages = Messages::default();
        let read = sent.chunks(size).flat_map(|it| messages.take(it));
        assert_eq!(read.collect::<Vec<_>>(), expected, "{size}");
    }
}

#[test]
fn what_is_asked_for_stands_in_the_path() {
    let tail = Tail {
        event_type: Some("sample.*".to_owned()),
        filter: Some("source = 'a&b'".to_owned()),
        subject: None,
        correlation_id: None,
        from: None,
        count: None,
    };
    let path = tail.path(Some(7));
    let query = "type=sample.%2A&filter=source%20%3D%20%27a%26b%27&from=7";
    assert_eq!(path, format!("/api/events/stream?{query}"));
}
