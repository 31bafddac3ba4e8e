//! How dark the middle of a small drawing is: paints its shapes on a coarse grid, in their order.

use super::collect::{Paint, Shape};
use super::document::Rect;

/// Cells of the grid along each side of the middle half.
const CELLS: u32 = 16;
/// Half of the width that a stroke is painted with, in points: the parser does not tell the width.
const STROKE_HALF: f64 = 0.45;

/// Mean darkness of the middle half of `rect`, from 0 to 1.
pub(super) fn middle_ink(rect: &Rect, shapes: &[&Shape]) -> f64 {
    let mut dark = 0.0;
    for row in 0..CELLS {
        for column in 0..CELLS {
            let at = |cell: u32| 0.25 + 0.5 * (f64::from(cell) + 0.5) / f64::from(CELLS);
            let point = (rect.x + rect.w * at(column), rect.y + rect.h * at(row));
            let top = shapes.iter().rev().find(|shape| covers(shape, point));
            dark += top.map_or(0.0, |shape| 1.0 - shape.luminance.clamp(0.0, 1.0));
        }
    }
    dark / f64::from(CELLS * CELLS)
}

fn covers(shape: &Shape, point: (f64, f64)) -> bool {
    match shape.paint {
        Paint::Fill => {
            shape
                .pieces
                .iter()
                .map(|piece| winding(piece, point))
                .sum::<i32>()
                != 0
        }
        Paint::Stroke => shape.pieces.iter().any(|piece| {
            segments(piece).any(|(from, to)| distance(point, from, to) <= STROKE_HALF)
        }),
    }
}

fn segments(piece: &[(f64, f64)]) -> impl Iterator<Item = ((f64, f64), (f64, f64))> + '_ {
    piece.iter().copied().zip(piece.iter().copied().skip(1))
}

/// How often the closed outline goes round the point.
fn winding(piece: &[(f64, f64)], point: (f64, f64)) -> i32 {
    let closing = piece.last().copied().zip(piece.first().copied());
    segments(piece)
        .chain(closing)
        .map(|(from, to)| {
            let side = (to.0 - from.0) * (point.1 - from.1) - (point.0 - from.0) * (to.1 - from.1);
            match (from.1 <= point.1, to.1 <= point.1) {
                (true, false) if side > 0.0 => 1,
                (false, true) if side < 0.0 => -1,
                _ => 0,
            }
        })
        .sum()
}

fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 {
        (((point.0 - from.0) * dx + (point.1 - from.1) * dy) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (point.0 - from.0 - along * dx).hypot(point.1 - from.1 - along * dy)
}
