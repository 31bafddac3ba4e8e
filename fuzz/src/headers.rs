//! Values of HTTP headers: any text comes back from its header, and any header that is a text is one of printable ASCII.

use crate::header_text::{decoded, encoded};

/// The bytes as a header's value, and as a text that is sent in one.
pub(crate) fn headers(bytes: &[u8]) {
    if let Some(text) = decoded(bytes) {
        comes_back(&text);
        assert!(text.len() <= bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        comes_back(text);
    }
}

fn comes_back(text: &str) {
    let value = encoded(text);
    assert!(value.bytes().all(|it| it.is_ascii_graphic()), "{value:?}");
    assert_eq!(
        decoded(value.as_bytes()).as_deref(),
        Some(text),
        "{value:?}"
    );
}
