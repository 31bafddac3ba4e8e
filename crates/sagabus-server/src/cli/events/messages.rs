//! Server-sent events as they arrive, in whatever pieces.

use serde_json::Value;

/// A message that is whole: an event with its position, or a position that was passed.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    pub(super) position: u64,
    pub(super) event: Option<Value>,
}

/// What has arrived of the next message.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// A line without its end.
    line: Vec<u8>,
    position: Option<u64>,
    data: Vec<u8>,
}

impl Messages {
    /// The messages that end in these bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut whole = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if line.is_empty() {
                whole.extend(self.end());
            } else {
                self.read(&line);
            }
        }
        whole
    }

    fn read(&mut self, line: &[u8]) {
        if let Some(id) = line.strip_prefix(b"id: ") {
            let id = std::str::from_utf8(id).ok();
            self.position = id.and_then(|it| it.parse().ok());
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            self.data.extend_from_slice(data);
            self.data.push(b'\n');
        }
        // Comments, and how long to wait, are nothing to show.
    }

    fn end(&mut self) -> Option<Message> {
        let data = std::mem::take(&mut self.data);
        let position = self.position.take()?;
        let event = match data.is_empty() {
            true => None,
            false => Some(serde_json::from_slice(&data).ok()?),
        };
        Some(Message { position, event })
    }
}
