//! The part of a page that can be seen, given by one clip for the whole page.
//!
//! Printers of web pages paint a row that lies on a page's edge on both pages and hide what is outside by that clip.

use pdf_extract::Object;
use pdf_extract::content::Operation;

type Matrix = [f64; 6];

/// The box `[left, bottom, right, top]`, in the page's own coordinates, of the clip under which
/// everything on the page is painted; nothing when there is no such clip.
pub(super) fn page_clip(operations: &[Operation]) -> Option<[f64; 4]> {
    let mut matrix: Matrix = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let mut saved: Vec<Matrix> = Vec::new();
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut clip: Option<([f64; 4], usize)> = None;
    for operation in operations {
        let operands: Vec<f64> = operation.operands.iter().filter_map(number).collect();
        match (operation.operator.as_str(), operands.as_slice()) {
            ("q", _) => saved.push(matrix),
            ("Q", _) => matrix = saved.pop().unwrap_or(matrix),
            ("cm", &[a, b, c, d, e, f]) => matrix = product([a, b, c, d, e, f], matrix),
            ("m" | "l", &[x, y]) => points.push(place(matrix, x, y)),
            ("re", &[x, y, w, h]) => {
                points.extend([place(matrix, x, y), place(matrix, x + w, y + h)]);
            }
            // A clip with curves is none of a page.
            ("c" | "v" | "y", _) => points.clear(),
            ("W" | "W*", _) if clip.is_none() => {
                clip = bounds(&points).map(|area| (area, saved.len()));
            }
            ("S" | "s" | "f" | "F" | "f*" | "B" | "B*" | "b" | "b*" | "n", _) => {
                if operation.operator != "n" && !holds(clip, saved.len()) {
                    return None;
                }
                points.clear();
            }
            ("Tj" | "TJ" | "'" | "\"" | "Do" | "sh", _) if !holds(clip, saved.len()) => {
                return None;
            }
            _ => {}
        }
    }
    clip.map(|(area, _)| area)
}

/// Whether the clip is in force at this depth of saved states.
fn holds(clip: Option<([f64; 4], usize)>, depth: usize) -> bool {
    clip.is_some_and(|(_, set_at)| depth >= set_at)
}

fn number(operand: &Object) -> Option<f64> {
    match operand {
        #[expect(clippy::cast_precision_loss, reason = "coordinates are far below 2^52")]
        Object::Integer(value) => Some(*value as f64),
        Object::Real(value) => Some(f64::from(*value)),
        _ => None,
    }
}

fn product([a, b, c, d, e, f]: Matrix, [ga, gb, gc, gd, ge, gf]: Matrix) -> Matrix {
    [
        a * ga + b * gc,
        a * gb + b * gd,
        c * ga + d * gc,
        c * gb + d * gd,
        e * ga + f * gc + ge,
        e * gb + f * gd + gf,
    ]
}

fn place([a, b, c, d, e, f]: Matrix, x: f64, y: f64) -> (f64, f64) {
    (x * a + y * c + e, x * b + y * d + f)
}

fn bounds(points: &[(f64, f64)]) -> Option<[f64; 4]> {
    let boxes = points.iter().map(|&(x, y)| [x, y, x, y]);
    boxes.reduce(|a, b| {
        [
            a[0].min(b[0]),
            a[1].min(b[1]),
            a[2].max(b[2]),
            a[3].max(b[3]),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pdf_extract::content::Content;

    fn check(input: &str, expected: Option<[f64; 4]>) {
        let content = Content::decode(input.as_bytes()).unwrap();
        assert_eq!(page_clip(&content.operations), expected, "{input}");
    }

    #[test]
    fn a_clip_around_everything_is_the_visible_part() {
        check(
            "q .5 0 0 .5 10 10 cm 0 0 160 160 re W n 1 1 2 2 re f Q",
            Some([10.0, 10.0, 90.0, 90.0]),
        );
    }

    #[test]
    fn a_clip_around_a_part_of_what_is_painted_is_not() {
        check("1 1 2 2 re f q 0 0 90 90 re W n 1 1 2 2 re f Q", None);
        check("q 0 0 90 90 re W n 1 1 2 2 re f Q 1 1 2 2 re f", None);
        check("1 1 2 2 re f", None);
    }
}
