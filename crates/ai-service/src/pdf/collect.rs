//! Takes glyphs and paths from the parser, page by page, and turns them to top-left coordinates.

use pdf_extract::{ColorSpace, MediaBox, OutputDev, OutputError, Path, PathOp, Transform};

use super::conceal::{Look, Sign, Signs};
use super::document::Rect;

/// Glyphs and path points that one document may have before the reading stops: a full page of
/// small print has some 10,000 glyphs.
const ITEMS_MAX: usize = 1_500_000;
/// Points that one cubic curve is flattened to; enough for drawings the size of a letter.
const CURVE_POINTS: u32 = 8;

/// One glyph as painted.
#[derive(Clone, Debug)]
pub(super) struct Glyph {
    pub(super) text: String,
    pub(super) x: f64,
    pub(super) baseline: f64,
    pub(super) width: f64,
    pub(super) size: f64,
    /// How it is painted, where that is not with ink.
    pub(super) look: Option<Look>,
}

/// How a path was painted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Paint {
    Fill,
    Stroke,
}

/// One painted path, flattened to straight pieces.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) paint: Paint,
    /// 0 is black, 1 is white.
    pub(super) luminance: f64,
    pub(super) curved: bool,
    pub(super) pieces: Vec<Vec<(f64, f64)>>,
    pub(super) rect: Rect,
}

/// What the parser painted on one page.
#[derive(Debug, Default)]
pub(super) struct Painted {
    pub(super) number: u32,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) visible: Rect,
    pub(super) glyphs: Vec<Glyph>,
    pub(super) shapes: Vec<Shape>,
}

/// Collects the pages of a document.
#[derive(Debug, Default)]
pub(super) struct Collector {
    page: Painted,
    left: f64,
    top: f64,
    items: usize,
    /// How text is painted, by the signs that have begun.
    looks: Vec<Look>,
    /// Where signs are.
    pub(super) signs: Signs,
    /// The clip of the next page as `[left, bottom, right, top]`.
    pub(super) clip: Option<[f64; 4]>,
    /// Set when the document has more items than are read.
    pub(super) overflow: bool,
}

impl Collector {
    /// The page that ended last.
    pub(super) fn take_page(&mut self) -> Painted {
        std::mem::take(&mut self.page)
    }

    fn count(&mut self, items: usize) -> Result<(), OutputError> {
        self.items += items;
        if self.items > ITEMS_MAX {
            self.overflow = true;
            return Err(OutputError::IoError(std::io::Error::other(
                "too many drawing operations",
            )));
        }
        Ok(())
    }

    fn place(&self, ctm: &Transform, x: f64, y: f64) -> (f64, f64) {
        (
            x * ctm.m11 + y * ctm.m21 + ctm.m31 - self.left,
            self.top - (x * ctm.m12 + y * ctm.m22 + ctm.m32),
        )
    }

    fn paint(
        &mut self,
        paint: Paint,
        ctm: &Transform,
        color: Option<f64>,
        path: &Path,
    ) -> Result<(), OutputError> {
        self.count(path.ops.len())?;
        let Some(luminance) = color else {
            return Ok(());
        };
        let (pieces, curved) = self.flatten(ctm, path);
        let Some(rect) = bounds(pieces.iter().flatten()) else {
            return Ok(());
        };
        let whole = Shape {
            paint,
            luminance,
            curved,
            pieces,
            rect,
        };
        // One path may draw many things far apart; only small ones belong together.
        if whole.rect.w.max(whole.rect.h) <= super::marks::MARK_POINTS_MAX {
            self.page.shapes.push(whole);
            return Ok(());
        }
        for piece in whole.pieces {
            if let Some(rect) = bounds(piece.iter()) {
                let pieces = vec![piece];
                self.page.shapes.push(Shape {
                    paint,
                    luminance,
                    curved,
                    pieces,
                    rect,
                });
            }
        }
        Ok(())
    }

    fn flatten(&self, ctm: &Transform, path: &Path) -> (Vec<Vec<(f64, f64)>>, bool) {
        let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut piece: Vec<(f64, f64)> = Vec::new();
        let mut curved = false;
        for op in &path.ops {
            match *op {
                PathOp::MoveTo(x, y) => {
                    pieces.push(std::mem::take(&mut piece));
                    piece.push(self.place(ctm, x, y));
                }
                PathOp::LineTo(x, y) => piece.push(self.place(ctm, x, y)),
                PathOp::CurveTo(ax, ay, bx, by, x, y) => {
                    curved = true;
                    let end = self.place(ctm, x, y);
                    let start = piece.last().copied().unwrap_or(end);
                    let (a, b) = (self.place(ctm, ax, ay), self.place(ctm, bx, by));
                    piece.extend((1..=CURVE_POINTS).map(|step| {
                        let t = f64::from(step) / f64::from(CURVE_POINTS);
                        (
                            cubic(t, [start.0, a.0, b.0, end.0]),
                            cubic(t, [start.1, a.1, b.1, end.1]),
                        )
                    }));
                }
                PathOp::Rect(x, y, w, h) => {
                    pieces.push(std::mem::take(&mut piece));
                    let corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)];
                    pieces.push(corners.map(|(x, y)| self.place(ctm, x, y)).to_vec());
                }
                PathOp::Close => {
                    if let Some(first) = piece.first().copied() {
                        piece.push(first);
                    }
                    pieces.push(std::mem::take(&mut piece));
                }
            }
        }
        pieces.push(piece);
        pieces.retain(|piece| piece.len() > 1);
        (pieces, curved)
    }
}

fn cubic(t: f64, [p0, p1, p2, p3]: [f64; 4]) -> f64 {
    let u = 1.0 - t;
    u * u * u * p0 + 3.0 * u * u * t * p1 + 3.0 * u * t * t * p2 + t * t * t * p3
}

fn bounds<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Option<Rect> {
    points
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .map(|&point| Rect::between(point, point))
        .reduce(|a, b| a.union(&b))
}

/// Brightness from 0 to 1 by the number of colour components; nothing for patterns.
fn luminance(space: &ColorSpace, color: &[f64]) -> Option<f64> {
    if matches!(space, ColorSpace::Pattern) {
        return None;
    }
    brightness(color)
}

/// Brightness from 0 to 1 of a colour with one, three or four components.
pub(super) fn brightness(color: &[f64]) -> Option<f64> {
    Some(match *color {
        [] => 0.0,
        [gray] => gray,
        [red, green, blue] => 0.299 * red + 0.587 * green + 0.114 * blue,
        [cyan, magenta, yellow, key] => {
            (1.0 - (0.299 * cyan + 0.587 * magenta + 0.114 * yellow)) * (1.0 - key)
        }
        _ => return None,
    })
}

impl OutputDev for Collector {
    fn begin_page(
        &mut self,
        number: u32,
        media: &MediaBox,
        _art: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        self.left = media.llx.min(media.urx);
        self.top = media.lly.max(media.ury);
        let (width, height) = ((media.urx - media.llx).abs(), (media.ury - media.lly).abs());
        let visible = match self.clip.take() {
            Some([left, bottom, right, top]) => Rect::between(
                ((left - self.left).max(0.0), (self.top - top).max(0.0)),
                (
                    (right - self.left).min(width),
                    (self.top - bottom).min(height),
                ),
            ),
            None => Rect {
                x: 0.0,
                y: 0.0,
                w: width,
                h: height,
            },
        };
        self.page = Painted {
            number,
            width,
            height,
            visible,
            ..Painted::default()
        };
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        trm: &Transform,
        width: f64,
        _spacing: f64,
        font_size: f64,
        text: &str,
    ) -> Result<(), OutputError> {
        self.count(1)?;
        let size = font_size.abs() * (trm.m11 * trm.m22 - trm.m12 * trm.m21).abs().sqrt();
        let width = (width * font_size * trm.m11.hypot(trm.m12)).abs();
        let (x, baseline) = self.place(trm, 0.0, 0.0);
        // Text that runs up or down the page is no part of a form.
        let upright = trm.m12.abs() <= 0.1 * trm.m11.abs();
        if upright && [x, baseline, size, width].iter().all(|it| it.is_finite()) {
            let invisible = self.looks.contains(&Look::Invisible);
            let look = invisible.then_some(Look::Invisible);
            self.page.glyphs.push(Glyph {
                text: text.to_owned(),
                x,
                baseline,
                width,
                size,
                look: look.or(self.looks.last().copied()),
            });
        }
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn stroke(
        &mut self,
        ctm: &Transform,
        space: &ColorSpace,
        color: &[f64],
        path: &Path,
    ) -> Result<(), OutputError> {
        self.paint(Paint::Stroke, ctm, luminance(space, color), path)
    }

    fn fill(
        &mut self,
        ctm: &Transform,
        space: &ColorSpace,
        color: &[f64],
        path: &Path,
    ) -> Result<(), OutputError> {
        if let Some(PathOp::Rect(left, ..)) = path.ops.last()
            && let Some(sign) = self.signs.read(*left)
        {
            match sign {
                Sign::Begin(look) => self.looks.push(look),
                Sign::End => drop(self.looks.pop()),
            }
            return Ok(());
        }
        self.paint(Paint::Fill, ctm, luminance(space, color), path)
    }
}
