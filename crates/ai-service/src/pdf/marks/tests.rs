//! Rules of finding marks and of measuring their ink.

use super::*;

fn shape(paint: Paint, luminance: f64, points: &[(f64, f64)]) -> Shape {
    let rect = points
        .iter()
        .map(|&point| Rect::between(point, point))
        .reduce(|a, b| a.union(&b))
        .unwrap();
    Shape {
        paint,
        luminance,
        curved: false,
        pieces: vec![points.to_vec()],
        rect,
    }
}

fn square(paint: Paint, luminance: f64, (x, y): (f64, f64), side: f64) -> Shape {
    let points = [
        (x, y),
        (x + side, y),
        (x + side, y + side),
        (x, y + side),
        (x, y),
    ];
    shape(paint, luminance, &points)
}

fn ink(shapes: &[Shape]) -> f64 {
    let (marks, _) = marks_and_rules(shapes);
    assert_eq!(marks.len(), 1, "{marks:?}");
    marks[0].ink
}

#[test]
fn an_empty_box_has_no_ink_in_its_middle() {
    assert_eq!(ink(&[square(Paint::Stroke, 0.0, (10.0, 10.0), 8.0)]), 0.0);
    assert_eq!(
        ink(&[
            square(Paint::Fill, 0.2, (10.0, 10.0), 8.0),
            square(Paint::Fill, 1.0, (11.0, 11.0), 6.0)
        ]),
        0.0
    );
}

#[test]
fn a_cross_or_a_dot_puts_ink_into_the_middle() {
    let outline = square(Paint::Stroke, 0.0, (10.0, 10.0), 8.0);
    let cross = shape(Paint::Stroke, 0.0, &[(10.0, 10.0), (18.0, 18.0)]);
    assert!(ink(&[outline.clone(), cross]) > 0.15);
    let dot = square(Paint::Fill, 0.0, (12.0, 12.0), 4.0);
    assert_eq!(ink(&[outline, dot]), 1.0);
}

#[test]
fn later_paint_hides_earlier_paint() {
    let black = square(Paint::Fill, 0.0, (10.0, 10.0), 8.0);
    let white = square(Paint::Fill, 1.0, (10.5, 10.5), 7.0);
    assert_eq!(ink(&[black.clone(), white.clone()]), 0.0);
    assert_eq!(ink(&[white, black]), 1.0);
}

#[test]
fn boxes_below_each_other_stay_two_marks() {
    let (marks, rules) = marks_and_rules(&[
        square(Paint::Stroke, 0.0, (10.0, 30.0), 8.0),
        square(Paint::Stroke, 0.0, (10.0, 10.0), 8.0),
    ]);
    assert_eq!(
        marks.iter().map(|mark| mark.rect.y).collect::<Vec<_>>(),
        [10.0, 30.0]
    );
    assert!(rules.is_empty());
}

#[test]
fn thin_bars_and_stroked_outlines_are_rules() {
    let (marks, rules) = marks_and_rules(&[
        shape(
            Paint::Fill,
            0.6,
            &[(0.0, 0.0), (100.0, 0.0), (100.0, 0.6), (0.0, 0.6)],
        ),
        square(Paint::Stroke, 0.0, (200.0, 10.0), 50.0),
        square(Paint::Fill, 0.9, (200.0, 10.0), 50.0),
        shape(
            Paint::Fill,
            1.0,
            &[(0.0, 50.0), (100.0, 50.0), (100.0, 50.6), (0.0, 50.6)],
        ),
    ]);
    assert!(marks.is_empty());
    assert_eq!(rules.len(), 5);
    assert_eq!(rules.iter().filter(|rule| rule.is_horizontal()).count(), 3);
}
