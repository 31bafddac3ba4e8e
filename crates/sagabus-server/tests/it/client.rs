//! A small HTTP client: one request a connection.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.text()))
    }

    /// The JSON of an answer with this status.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// Checks that this is problem details of this status whose text has all `words`.
    pub(crate) fn expect_problem(&self, status: u16, words: &[&str]) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{}",
            self.head
        );
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        for word in words {
            assert!(problem.to_string().contains(word), "{word}: {problem}");
        }
        problem
    }
}

/// A request that is put together.
#[derive(Debug)]
pub(crate) struct Request {
    address: String,
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(address: &str, method: &str, path: &str) -> Self {
        Self {
            address: address.to_owned(),
            line: format!("{method} {path} HTTP/1.1"),
            headers: vec![("host".to_owned(), address.to_owned())],
            body: Vec::new(),
        }
    }

    /// Sets a header; there is one of each name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header, beside those of the same name.
    pub(crate) fn header_again(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// A form with one file and some texts.
    pub(crate) fn upload(self, name: &str, file: &[u8], texts: &[(&str, &str)]) -> Self {
        let boundary = "a-line-between-the-parts";
        let mut body = Vec::new();
        for (field, text) in texts {
            write!(
                body,
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{field}\"\r\n\r\n{text}\r\n"
            )
            .unwrap();
        }
        write!(
            body,
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: application/pdf\r\n\r\n"
        )
        .unwrap();
        body.extend_from_slice(file);
        write!(body, "\r\n--{boundary}--\r\n").unwrap();
        self.body(&format!("multipart/form-data; boundary={boundary}"), body)
    }

    /// The answer; `None` when the server went away before it gave one.
    pub(crate) fn try_send(self) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut head = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(
            head,
            "content-length: {}\r\nconnection: close\r\n\r\n",
            self.body.len()
        )
        .unwrap();
        // A server that refuses a large body early answers before it has read all of it.
        let _all_written = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&self.body));
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        if let Err(error) = &read {
            let is_timeout = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!is_timeout, "no answer in time: {}", self.line);
        }
        let answer = parse(&bytes)?;
        crate::openapi::check(&self.line, &answer);
        Some(answer)
    }

    pub(crate) fn send(self) -> Answer {
        let line = self.line.clone();
        self.try_send()
            .unwrap_or_else(|| panic!("no answer: {line}"))
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = bytes[end + 4..].to_vec();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map(|it| it.parse::<usize>().unwrap());
    // An answer that was cut off is none.
    if length.is_some_and(|length| length != body.len()) {
        return None;
    }
    Some(Answer { status, head, body })
}
