//! Only this machine is let in, and every refusal has one form.

use nanopore::problem::MEDIA_TYPE;

use super::*;

#[test]
fn only_requests_to_this_machine_by_its_own_name_are_local() {
    for (host, origin, expected) in [
        ("127.0.0.1:8080", None, true),
        ("localhost", None, true),
        ("LOCALHOST:8080", None, true),
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

#[tokio::test]
async fn refusals_that_the_framework_makes_are_problems_too() {
    use axum::body::Bytes;
    use axum::extract::{DefaultBodyLimit, Path};
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let router = axum::Router::new()
        .route("/things", post(|_: Bytes| async { "taken" }))
        .route("/things/{id}", post(|_: Path<String>| async { "taken" }))
        .layer(DefaultBodyLimit::max(4))
        .layer(axum::middleware::from_fn(problems_only));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async { axum::serve(listener, router).await.unwrap() };
    let calls = async {
        for (line, body, status) in [
            ("GET /things", "", "405"),
            ("POST /things", "too long", "413"),
            ("POST /things/%ff", "", "400"),
        ] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!(
                "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
            assert!(answer.contains(MEDIA_TYPE), "{answer}");
            assert!(answer.contains(&format!("\"status\":{status}")), "{answer}");
            assert_eq!(answer.contains("allow: POST"), status == "405", "{answer}");
        }
    };
    tokio::select! {
        () = server => panic!("the server ended"),
        () = calls => {}
    }
}
