//! What requests say is read in one way.

use axum::body::Body as Bytes;
use axum::http::Request as HttpRequest;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::*;

fn request(headers: &[(&str, &str)], body: &str) -> Request {
    let mut request = HttpRequest::builder().uri("/tubes?a=1&a=2");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::from(body.to_owned())).unwrap()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tube {
    rows: Vec<u8>,
}

#[tokio::test]
async fn a_body_is_one_object_in_json_or_what_is_wrong_with_it_has_its_place() {
    let json = [("content-type", "application/json")];
    for (headers, body, status) in [
        (&json[..], r#"{"rows": [1, 2]}"#, None),
        (&[], r#"{"rows": [1, 2]}"#, None),
        (&json, r#"[[1, 2]]"#, Some(400)),
        (&json, r#"{"rows": [1, 2]} 3"#, Some(400)),
        (&json, r#"{"rows": [1, 2], "lid": 1}"#, Some(400)),
        (&json, "", Some(400)),
        (&[("content-type", "text/plain")], "{}", Some(415)),
    ] {
        let sent = Sent::<Tube>::from_request(request(headers, body), &()).await;
        let sent = sent.map_err(|it| it.into_response().status().as_u16());
        assert_eq!(sent.as_ref().err().copied(), status, "{body}");
        if let Ok(Sent(tube)) = sent {
            assert_eq!(tube.rows, [1, 2]);
        }
    }
    let Err(wrong) = read::<Tube>(br#"{"rows": [1, "b"]}"#) else {
        panic!("a text is no number");
    };
    assert!(wrong.to_string().contains("`rows[1]`"), "{wrong}");
}

#[tokio::test]
async fn an_act_of_which_there_is_nothing_to_say_needs_no_body() {
    let Body(fields) = Body::from_request(request(&[], ""), &()).await.unwrap();
    assert!(fields.is_empty());
    let sent = Body::from_request(request(&[], r#"{"a": 1}"#), &()).await;
    let sent = sent.unwrap();
    assert!(sent.only(&["a"]).is_ok() && sent.only(&["b"]).is_err());
    assert!(Body::from_request(request(&[], "[]"), &()).await.is_err());
}

#[tokio::test]
async fn a_caller_is_who_they_say_and_a_version_is_a_number() {
    let caller = async |headers: &[(&str, &str)]| {
        let (mut parts, _) = request(headers, "").into_parts();
        let Ok(caller) = Caller::from_request_parts(&mut parts, &()).await;
        caller
    };
    let grace = caller(&[("x-user-id", " grace "), ("if-match", "\"3\"")]).await;
    assert_eq!(grace.user_id(), Some("grace"));
    assert_eq!(grace.expected(), Ok(Some(3)));
    let nobody = caller(&[("x-user-id", "  "), ("if-match", "*")]).await;
    assert_eq!((nobody.user_id(), nobody.expected()), (None, Ok(None)));
    assert!(caller(&[("if-match", "old")]).await.expected().is_err());
    let (mut parts, _) = request(&[], "").into_parts();
    let Pairs(pairs) = Pairs::from_request_parts(&mut parts, &()).await.unwrap();
    let two = [
        ("a".to_owned(), "1".to_owned()),
        ("a".to_owned(), "2".to_owned()),
    ];
    assert_eq!(pairs, two);
}
