//! Characters that a reader does not see, and what is done with them in names and in texts for operators. Pure.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// Whether the character shows nothing by itself: controls, ends of lines, marks that turn the direction of a text, joiners,
/// fillers, selectors and what is no character. Two names that differ by them alone look the same, and a line of a log with them is no line.
pub(crate) fn is_hidden(it: char) -> bool {
    it.is_control()
        // The last two of each plane are no characters, as some before them are none.
        || u32::from(it) & 0xfffe == 0xfffe
        || matches!(it,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{2800}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The first character of a text that shows nothing by itself.
#[must_use]
pub fn hidden(text: &str) -> Option<char> {
    text.chars().find(|it| is_hidden(*it))
}

/// Checks that everything in a name is to be seen.
///
/// # Errors
/// `Invalid`, naming the field and the character.
pub fn check_visible(field: &str, text: &str) -> Result<()> {
    // Nearly all names are plain, and every publish asks: many bytes are looked at together.
    if text
        .bytes()
        .fold(true, |so_far, it| so_far & matches!(it, b' '..=b'~'))
    {
        return Ok(());
    }
    match hidden(text) {
        None => Ok(()),
        Some(found) => Err(Error::invalid(format!(
            "`{field}` has the character U+{:04X}, which is not to be seen; names have none such",
            u32::from(found)
        ))),
    }
}

/// The number that a text is in digits alone: a sign is none of them.
#[must_use]
pub fn whole_number(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

/// The text with what is not to be seen written out, so that it is one line of what it seems to be.
pub(crate) fn visible(text: Cow<'static, str>) -> Cow<'static, str> {
    if !text.chars().any(is_hidden) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    push_visible(&mut shown, &text);
    shown.into()
}

/// Appends the text as [`visible`] shows it.
pub(crate) fn push_visible(shown: &mut String, text: &str) {
    for it in text.chars() {
        match it {
            '\n' | '\r' | '\t' => shown.extend(it.escape_default()),
            it if is_hidden(it) => shown.extend(it.escape_unicode()),
            it => shown.push(it),
        }
    }
}

#[cfg(test)]
mod tests;
