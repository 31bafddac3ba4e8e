//! What a person does not see of a page, and what a parser does not: hidden text, and pictures.

use pdf_extract::content::Operation;
use pdf_extract::{Dictionary, Document, Object, ObjectId};

use super::super::collect::{Glyph, Paint, Painted};
use super::super::conceal::{Look, WHITE_LUMINANCE};

/// Smaller letters than this, in points, are not for people.
const LETTER_POINTS_MIN: f64 = 3.0;
/// Text so far above or below what is painted, in points, is no row of a table that goes on over the page's edge.
const BEYOND_POINTS: f64 = 100.0;
/// Forms inside forms that are looked into for pictures.
const DEPTH_MAX: usize = 4;
/// Pictures and forms of one page that are looked at: they may be each other's parts.
const LOOKS_MAX: usize = 1_000;

/// Whether nobody sees the glyph: not painted, too small, without width, beside the page, or white on white.
pub(super) fn is_hidden(glyph: &Glyph, painted: &Painted) -> bool {
    if glyph.text.chars().all(char::is_whitespace) {
        return false;
    }
    let x = glyph.x + glyph.width / 2.0;
    let y = glyph.baseline - 0.3 * glyph.size;
    let visible = painted.visible;
    let dim = match glyph.look {
        None => false,
        Some(Look::Invisible) => true,
        Some(Look::White) => !is_on_ink((x, y), painted),
    };
    let beside = x < visible.x
        || x > visible.right()
        || y < visible.y - BEYOND_POINTS
        || y > visible.bottom() + BEYOND_POINTS;
    // An accent that stands over the letter before it has no width of its own.
    let is_flat = glyph.width < 0.01 * glyph.size && glyph.text.contains(char::is_alphanumeric);
    let is_tag = |it: char| matches!(it, '\u{e0000}'..='\u{e007f}');
    dim || beside || is_flat || glyph.size < LETTER_POINTS_MIN || glyph.text.chars().any(is_tag)
}

fn is_on_ink((x, y): (f64, f64), painted: &Painted) -> bool {
    // The last one that was painted there is what is seen.
    let over = painted.shapes.iter().rev().find(|shape| {
        let rect = shape.rect;
        let covers = rect.x <= x && x <= rect.right() && rect.y <= y && y <= rect.bottom();
        covers && shape.paint == Paint::Fill
    });
    over.is_some_and(|shape| shape.luminance < WHITE_LUMINANCE)
}

/// How many lines hidden text has. What it says goes no further.
pub(super) fn hidden_lines(glyphs: Vec<Glyph>) -> u32 {
    let mut glyphs = glyphs;
    for glyph in &mut glyphs {
        // Letters without a size have base lines all the same.
        glyph.size = glyph.size.max(1.0);
    }
    u32::try_from(super::lines(glyphs).len()).unwrap_or(u32::MAX)
}

/// How many pictures a page paints or may paint.
pub(super) fn pictures(document: &Document, page: ObjectId, operations: &[Operation]) -> u32 {
    let inline = operations.iter().filter(|it| it.operator == "BI").count();
    let (mut count, mut left) = (inline, LOOKS_MAX);
    if let Ok((own, inherited)) = document.get_page_resources(page) {
        let inherited = inherited
            .iter()
            .filter_map(|id| document.get_dictionary(*id).ok());
        for resources in own.into_iter().chain(inherited) {
            count += pictures_of(document, resources, 0, &mut left);
        }
    }
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What an entry of a dictionary is, where it may stand elsewhere.
fn entry<'a>(document: &'a Document, dict: &'a Dictionary, name: &[u8]) -> Option<&'a Dictionary> {
    let (_, object) = document.dereference(dict.get(name).ok()?).ok()?;
    object.as_dict().ok()
}

fn pictures_of(
    document: &Document,
    resources: &Dictionary,
    depth: usize,
    left: &mut usize,
) -> usize {
    let Some(forms) = entry(document, resources, b"XObject") else {
        return 0;
    };
    let mut count = 0;
    for (_, object) in forms.iter() {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let Ok((_, Object::Stream(stream))) = document.dereference(object) else {
            continue;
        };
        match stream.dict.get(b"Subtype").and_then(Object::as_name) {
            Ok(b"Image") => count += 1,
            Ok(b"Form") if depth < DEPTH_MAX => {
                if let Some(own) = entry(document, &stream.dict, b"Resources") {
                    count += pictures_of(document, own, depth + 1, left);
                }
            }
            _ => {}
        }
    }
    count
}
