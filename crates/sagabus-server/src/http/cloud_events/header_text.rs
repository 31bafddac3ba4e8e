//! Texts as values of HTTP headers, as CloudEvents have them. Pure.

/// A text as the value of a header: everything but printable ASCII, and space, `"` and `%`, as `%XX` of its UTF-8.
pub(super) fn encoded(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            value.push(char::from(byte));
        } else {
            let digit = |it: u8| {
                char::from_digit(it.into(), 16)
                    .unwrap_or('0')
                    .to_ascii_uppercase()
            };
            value.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    value
}

/// The text of a header's value, which may be in quotes; one round of `%XX`. `None` when it is none.
pub(super) fn decoded(value: &[u8]) -> Option<String> {
    let mut text = Vec::with_capacity(value.len());
    let is_quoted = value.len() >= 2 && value.starts_with(b"\"") && value.ends_with(b"\"");
    let inner = if is_quoted {
        value.get(1..value.len() - 1)?
    } else {
        value
    };
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'\\' if is_quoted => bytes.next()?,
            byte => byte,
        });
    }
    String::from_utf8(text).ok()
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}
