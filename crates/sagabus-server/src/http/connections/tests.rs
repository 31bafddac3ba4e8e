//! Clients that do not go on.

use axum::body::Bytes;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;

struct Serving {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Serving {
    async fn start() -> Self {
        let router = Router::new().route(
            "/",
            post(|body: Bytes| async move { body.len().to_string() }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serving = Self {
            address: listener.local_addr().unwrap(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        serving
            .tasks
            .spawn(serve(listener, router, serving.stop.clone()));
        serving
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What is answered to these bytes until the connection ends, and after which time.
async fn answer(serving: &Serving, bytes: &[u8]) -> (String, Duration) {
    let mut stream = serving.connect().await;
    stream.write_all(bytes).await.unwrap();
    let began = Instant::now();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer, began.elapsed())
}

const GOOD: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_whole_head_is_cut_off() {
    let serving = Serving::start().await;
    for bytes in [&b""[..], b"POST", b"POST / HTTP/1.1\r\nhost: a\r\nx: "] {
        let (said, spent) = answer(&serving, bytes).await;
        assert_eq!(said, "");
        assert!(spent >= HEAD_LIMIT && spent < 2 * HEAD_LIMIT, "{spent:?}");
    }
    serving.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_next_request_is_ended() {
    let serving = Serving::start().await;
    let (said, spent) = answer(&serving, GOOD).await;
    assert!(
        said.starts_with("HTTP/1.1 200") && said.ends_with("\r\n\r\n3"),
        "{said}"
    );
    assert!(spent >= HEAD_LIMIT && spent < 2 * HEAD_LIMIT, "{spent:?}");
    serving.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_go_on_with_its_body_is_refused() {
    let serving = Serving::start().await;
    let begun = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na";
    let (said, spent) = answer(&serving, begun).await;
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
    assert!(
        spent >= BODY_PAUSE_MAX && spent < 2 * BODY_PAUSE_MAX,
        "{spent:?}"
    );
    serving.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_refused() {
    let serving = Serving::start().await;
    let mut head = b"POST / HTTP/1.1\r\nhost: a\r\nx: ".to_vec();
    head.resize(BUFFER_BYTES_MAX + 1, b'x');
    let mut stream = serving.connect().await;
    stream.write_all(&head).await.unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 431");
    serving.end().await;
}

#[tokio::test(start_paused = true)]
async fn clients_that_hang_keep_others_out_only_until_they_are_cut_off() {
    let serving = Serving::start().await;
    let mut hanging = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = serving.connect().await;
        stream.write_all(b"POST").await.unwrap();
        hanging.push(stream);
    }
    let (said, spent) = answer(&serving, GOOD).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    // It waits for those before it to be cut off, then its own pause follows.
    assert!(spent >= HEAD_LIMIT && spent < 3 * HEAD_LIMIT, "{spent:?}");
    serving.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_request_is_answered_before_the_end_and_an_idle_connection_is_not_waited_for() {
    let serving = Serving::start().await;
    let mut idle = serving.connect().await;
    idle.write_all(GOOD).await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    let mut open = serving.connect().await;
    let (head, rest) = GOOD.split_at(GOOD.len() - 2);
    open.write_all(head).await.unwrap();
    // So that the request has arrived.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    serving.stop.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(TcpStream::connect(serving.address).await.is_err());
    open.write_all(rest).await.unwrap();
    let mut said = String::new();
    open.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    serving.end().await;
    assert!(began.elapsed() < HEAD_LIMIT, "{:?}", began.elapsed());
}
