//! From painted shapes to tick boxes, radio buttons and the rules of tables.

use super::collect::{Paint, Shape};
use super::document::{Mark, MarkShape, Rect, Rule};
use super::raster::middle_ink;

/// Largest side of a tick box or radio button, in points.
pub(super) const MARK_POINTS_MAX: f64 = 14.0;
/// Smallest side of a tick box or radio button, in points.
const MARK_POINTS_MIN: f64 = 6.0;
/// Parts of one mark may stand this far apart, in points.
const MARK_GAP: f64 = 0.3;
/// The thickest line that still is a rule, in points.
const RULE_THICKNESS_MAX: f64 = 2.0;
/// The shortest rule, in points.
const RULE_LENGTH_MIN: f64 = 8.0;
/// Brighter than this is paper, not a rule.
const PAPER_LUMINANCE: f64 = 0.97;

/// The marks and rules of a page, each from top to bottom.
pub(super) fn marks_and_rules(shapes: &[Shape]) -> (Vec<Mark>, Vec<Rule>) {
    let (small, large): (Vec<&Shape>, Vec<&Shape>) = shapes
        .iter()
        .partition(|shape| shape.rect.w.max(shape.rect.h) <= MARK_POINTS_MAX);
    let mut marks = Vec::new();
    let mut rules: Vec<Rule> = large.iter().flat_map(|shape| rules_of(shape)).collect();
    for group in groups(&small) {
        match mark(&group) {
            Some(mark) => marks.push(mark),
            None => rules.extend(group.iter().flat_map(|shape| rules_of(shape))),
        }
    }
    marks.sort_by(|a, b| {
        a.rect
            .y
            .total_cmp(&b.rect.y)
            .then(a.rect.x.total_cmp(&b.rect.x))
    });
    rules.sort_by(|a, b| {
        a.rect
            .y
            .total_cmp(&b.rect.y)
            .then(a.rect.x.total_cmp(&b.rect.x))
    });
    rules.dedup();
    (marks, rules)
}

/// Shapes that touch, each group in painting order.
fn groups<'a>(shapes: &[&'a Shape]) -> Vec<Vec<&'a Shape>> {
    let mut order: Vec<(usize, &'a Shape)> = shapes.iter().copied().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| a.rect.y.total_cmp(&b.rect.y));
    let mut open: Vec<(Rect, Vec<(usize, &'a Shape)>)> = Vec::new();
    let mut done: Vec<Vec<(usize, &'a Shape)>> = Vec::new();
    for (index, shape) in order {
        let (near, far): (Vec<_>, Vec<_>) = open
            .into_iter()
            .partition(|(rect, _)| touches(rect, &shape.rect));
        let (ended, still): (Vec<_>, Vec<_>) = far
            .into_iter()
            .partition(|(rect, _)| rect.bottom() + MARK_GAP < shape.rect.y);
        done.extend(ended.into_iter().map(|(_, group)| group));
        open = still;
        let mut merged = (shape.rect, vec![(index, shape)]);
        for (rect, group) in near {
            merged.0 = merged.0.union(&rect);
            merged.1.extend(group);
        }
        open.push(merged);
    }
    done.extend(open.into_iter().map(|(_, group)| group));
    for group in &mut done {
        group.sort_by_key(|(index, _)| *index);
    }
    done.into_iter()
        .map(|group| group.into_iter().map(|(_, shape)| shape).collect())
        .collect()
}

fn touches(a: &Rect, b: &Rect) -> bool {
    a.x <= b.right() + MARK_GAP
        && b.x <= a.right() + MARK_GAP
        && a.y <= b.bottom() + MARK_GAP
        && b.y <= a.bottom() + MARK_GAP
}

fn mark(group: &[&Shape]) -> Option<Mark> {
    let rect = group
        .iter()
        .map(|shape| shape.rect)
        .reduce(|a, b| a.union(&b))?;
    let (short, long) = (rect.w.min(rect.h), rect.w.max(rect.h));
    if short < MARK_POINTS_MIN || long > MARK_POINTS_MAX || short < 0.75 * long {
        return None;
    }
    if group.iter().all(|shape| shape.luminance >= PAPER_LUMINANCE) {
        return None;
    }
    let round = group.iter().any(|shape| shape.curved);
    let shape = if round {
        MarkShape::Radio
    } else {
        MarkShape::Box
    };
    Some(Mark {
        rect,
        shape,
        ink: middle_ink(&rect, group),
    })
}

/// The rules that a shape draws: itself when it is thin, its sides when it is a stroked outline.
fn rules_of(shape: &Shape) -> Vec<Rule> {
    if shape.luminance >= PAPER_LUMINANCE || shape.curved {
        return Vec::new();
    }
    if is_rule(&shape.rect) {
        return vec![Rule { rect: shape.rect }];
    }
    if shape.paint == Paint::Fill {
        return Vec::new();
    }
    shape
        .pieces
        .iter()
        .flat_map(|piece| piece.iter().zip(piece.iter().skip(1)))
        .map(|(&from, &to)| Rect::between(from, from).union(&Rect::between(to, to)))
        .filter(is_rule)
        .map(|rect| Rule { rect })
        .collect()
}

fn is_rule(rect: &Rect) -> bool {
    rect.w.min(rect.h) <= RULE_THICKNESS_MAX && rect.w.max(rect.h) >= RULE_LENGTH_MIN
}

#[cfg(test)]
mod tests;
