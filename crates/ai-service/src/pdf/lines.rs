//! From glyphs to words and lines: by base line, with sub- and superscripts joined to their line.

use unicode_normalization::UnicodeNormalization;

use super::collect::Glyph;
use super::document::{Line, Rect, Word};

/// Base lines that differ by less than this part of the font size are one line.
const BASELINE_SLACK: f64 = 0.25;
/// A smaller font within this part of the larger font's size is a sub- or superscript.
const SCRIPT_SLACK: f64 = 0.6;
/// A gap wider than this part of the font size separates words.
const WORD_GAP: f64 = 0.28;
/// The part of the font size above the base line.
const ASCENT: f64 = 0.8;

struct Row {
    baseline: f64,
    size: f64,
    glyphs: Vec<Glyph>,
}

impl Row {
    fn extent(&self) -> (f64, f64) {
        self.glyphs
            .iter()
            .fold((f64::MAX, f64::MIN), |(left, right), glyph| {
                (left.min(glyph.x), right.max(glyph.x + glyph.width))
            })
    }
}

/// The lines of a page from top to bottom.
pub(super) fn lines(glyphs: Vec<Glyph>) -> Vec<Line> {
    let mut lines: Vec<Line> = join_scripts(rows(glyphs))
        .into_iter()
        .filter_map(|row| line(row.glyphs))
        .collect();
    lines.sort_by(|a, b| a.rect.bottom().total_cmp(&b.rect.bottom()));
    lines
}

fn rows(mut glyphs: Vec<Glyph>) -> Vec<Row> {
    glyphs.retain(|glyph| !glyph.text.is_empty());
    glyphs.sort_by(|a, b| a.baseline.total_cmp(&b.baseline));
    let mut rows: Vec<Row> = Vec::new();
    for glyph in glyphs {
        match rows.last_mut() {
            Some(row)
                if glyph.baseline - row.baseline <= BASELINE_SLACK * row.size.min(glyph.size) =>
            {
                row.size = row.size.max(glyph.size);
                row.glyphs.push(glyph);
            }
            _ => rows.push(Row {
                baseline: glyph.baseline,
                size: glyph.size,
                glyphs: vec![glyph],
            }),
        }
    }
    rows
}

fn join_scripts(rows: Vec<Row>) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::new();
    for row in rows {
        match out.last_mut() {
            Some(last) if is_script(&row, last) => last.glyphs.extend(row.glyphs),
            Some(last) if is_script(last, &row) => {
                let script = std::mem::replace(last, row);
                last.glyphs.extend(script.glyphs);
            }
            _ => out.push(row),
        }
    }
    out
}

fn is_script(script: &Row, line: &Row) -> bool {
    let (left, right) = line.extent();
    let (script_left, script_right) = script.extent();
    script.size < 0.95 * line.size
        && (script.baseline - line.baseline).abs() < SCRIPT_SLACK * line.size
        && script_left >= left - line.size
        && script_right <= right + line.size
}

fn line(mut glyphs: Vec<Glyph>) -> Option<Line> {
    glyphs.sort_by(|a, b| a.x.total_cmp(&b.x));
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut last: Option<Glyph> = None;
    let mut size: f64 = 0.0;
    for glyph in glyphs {
        let text = plain(&glyph.text);
        if text.is_empty() {
            continue;
        }
        if text.chars().all(char::is_whitespace) {
            words.extend(word.take());
            continue;
        }
        let rect = Rect {
            x: glyph.x,
            y: glyph.baseline - ASCENT * glyph.size,
            w: glyph.width,
            h: glyph.size,
        };
        // A glyph painted twice with a hair's offset is how some printers make bold type.
        let repeated = last.as_ref().is_some_and(|last| {
            last.text == glyph.text
                && glyph.x - last.x < 0.1 * glyph.size
                && glyph.width > 0.2 * glyph.size
        });
        if repeated {
            continue;
        }
        size = size.max(glyph.size);
        word = match word.take() {
            Some(open) if rect.x - open.rect.right() <= WORD_GAP * glyph.size => Some(Word {
                rect: open.rect.union(&rect),
                text: open.text + &text,
            }),
            open => {
                words.extend(open);
                Some(Word { text, rect })
            }
        };
        last = Some(glyph);
    }
    words.extend(word);
    for word in &mut words {
        word.text = word.text.nfc().collect();
    }
    let rect = words
        .iter()
        .map(|word| word.rect)
        .reduce(|a, b| a.union(&b))?;
    Some(Line { words, rect, size })
}

/// White space of any kind becomes a space, ligatures come apart, control characters go.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '\u{fb00}' => out.push_str("ff"),
            '\u{fb01}' => out.push_str("fi"),
            '\u{fb02}' => out.push_str("fl"),
            '\u{fb03}' => out.push_str("ffi"),
            '\u{fb04}' => out.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => out.push_str("st"),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}' => {}
            _ if symbol.is_whitespace() => out.push(' '),
            _ if symbol.is_control() => {}
            _ => out.push(symbol),
        }
    }
    out
}

#[cfg(test)]
mod tests;
