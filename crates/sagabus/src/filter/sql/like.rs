//! The patterns of `LIKE`: pieces between `%`, each found once from left to right, never tried again.

use super::evaluate::{Fault, Meter};

/// A pattern: its text as written between the quotes, and its pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Like {
    pub(super) text: Box<str>,
    pieces: Vec<Vec<One>>,
}

/// What one character of the text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum One {
    /// `_`
    Any,
    Is(char),
}

impl Like {
    /// Reads a pattern: `%` stands for any number of characters, `_` for one; `\%` and `\_` stand for themselves.
    pub(super) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut piece = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(it) = chars.next() {
            match it {
                '%' => pieces.push(std::mem::take(&mut piece)),
                '_' => piece.push(One::Any),
                '\\' => piece.push(One::Is(
                    chars
                        .next_if(|next| matches!(next, '%' | '_'))
                        .unwrap_or('\\'),
                )),
                _ => piece.push(One::Is(it)),
            }
        }
        pieces.push(piece);
        Self {
            text: text.into(),
            pieces,
        }
    }

    /// Whether the whole of `text` fits.
    ///
    /// The first piece is at the start and the last at the end. Each piece between them is taken where it fits
    /// first: a later place would leave less text for the rest, so none is tried.
    pub(super) fn matches(&self, text: &str, meter: &mut Meter) -> Result<bool, Fault> {
        let Some((first, rest)) = self.pieces.split_first() else {
            return Ok(text.is_empty());
        };
        let Some(mut text) = strip(first, text, meter)? else {
            return Ok(false);
        };
        let Some((last, between)) = rest.split_last() else {
            return Ok(text.is_empty());
        };
        for piece in between {
            loop {
                if let Some(after) = strip(piece, text, meter)? {
                    text = after;
                    break;
                }
                let mut chars = text.chars();
                if chars.next().is_none() {
                    return Ok(false);
                }
                text = chars.as_str();
            }
        }
        let Some(before_last) = last.len().checked_sub(1) else {
            return Ok(true);
        };
        let end = text.char_indices().nth_back(before_last);
        let Some(end) = end.and_then(|(at, _)| text.get(at..)) else {
            return Ok(false);
        };
        Ok(strip(last, end, meter)?.is_some())
    }
}

/// What is left of `text` after `piece`, where it starts with that.
fn strip<'t>(piece: &[One], text: &'t str, meter: &mut Meter) -> Result<Option<&'t str>, Fault> {
    meter.charge(1)?;
    let mut chars = text.chars();
    for one in piece {
        meter.charge(1)?;
        match (one, chars.next()) {
            (One::Any, Some(_)) => {}
            (One::Is(wanted), Some(it)) if *wanted == it => {}
            (_, Some(_) | None) => return Ok(None),
        }
    }
    Ok(Some(chars.as_str()))
}
