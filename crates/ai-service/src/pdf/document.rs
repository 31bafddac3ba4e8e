//! The plain data that a PDF is reduced to, in points from the top left corner of each page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rectangle: left, top, width and height in points. Its JSON form is `[x, y, w, h]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Rect {
    /// The rectangle between two corners given as `(left, top)` and `(right, bottom)`.
    #[must_use]
    pub fn between(from: (f64, f64), to: (f64, f64)) -> Self {
        Self {
            x: from.0,
            y: from.1,
            w: to.0 - from.0,
            h: to.1 - from.1,
        }
    }

    /// Right edge.
    #[must_use]
    pub fn right(&self) -> f64 {
        self.x + self.w
    }

    /// Bottom edge.
    #[must_use]
    pub fn bottom(&self) -> f64 {
        self.y + self.h
    }

    /// The middle from left to right.
    #[must_use]
    pub fn middle_x(&self) -> f64 {
        self.x + self.w / 2.0
    }

    /// The middle from top to bottom.
    #[must_use]
    pub fn middle_y(&self) -> f64 {
        self.y + self.h / 2.0
    }

    /// The smallest rectangle that holds both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::between(
            (self.x.min(other.x), self.y.min(other.y)),
            (
                self.right().max(other.right()),
                self.bottom().max(other.bottom()),
            ),
        )
    }
}

impl From<[f64; 4]> for Rect {
    fn from([x, y, w, h]: [f64; 4]) -> Self {
        Self { x, y, w, h }
    }
}

impl From<Rect> for [f64; 4] {
    fn from(rect: Rect) -> Self {
        // A hundredth of a point is finer than any printer; more digits only make the answer larger.
        [rect.x, rect.y, rect.w, rect.h].map(|value| (value * 100.0).round() / 100.0)
    }
}

/// One run of glyphs without white space in it.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Word {
    /// The text, in composed form, ligatures taken apart.
    pub text: String,
    /// Where it stands.
    pub rect: Rect,
}

/// All words that share a base line, from left to right.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Line {
    /// The words; never empty.
    pub words: Vec<Word>,
    /// The box around them.
    pub rect: Rect,
    /// The size of the largest font in the line.
    pub size: f64,
}

impl Line {
    /// The words with one space between them.
    #[must_use]
    pub fn text(&self) -> String {
        join(&self.words)
    }
}

/// Joins words with one space.
pub(crate) fn join(words: &[Word]) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(" ")
}

/// What a small drawing that can be ticked looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkShape {
    /// A square: a tick box.
    Box,
    /// Drawn with curves: a radio button.
    Radio,
}

/// A tick box or radio button, with how much ink is in its middle.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Mark {
    /// Where it stands.
    pub rect: Rect,
    /// Box or radio button.
    pub shape: MarkShape,
    /// Darkness of the middle: 0 is white, 1 is black.
    pub ink: f64,
}

/// A thin straight line, horizontal when it is wider than high.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Rule {
    /// The line with its thickness.
    pub rect: Rect,
}

impl Rule {
    /// Whether it runs from left to right.
    #[must_use]
    pub fn is_horizontal(&self) -> bool {
        self.rect.w >= self.rect.h
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// Width in points.
    pub width: f64,
    /// Height in points.
    pub height: f64,
    /// The part that is painted; a row of a table may go on beyond it, on the next page.
    pub visible: Rect,
    /// Text, from top to bottom.
    pub lines: Vec<Line>,
    /// How many lines of text nobody sees: not painted, white on white, under 3 points, without width, beside the page.
    #[serde(default)]
    pub hidden: u32,
    /// How many pictures it has.
    #[serde(default)]
    pub pictures: u32,
    /// Tick boxes and radio buttons, from top to bottom.
    pub marks: Vec<Mark>,
    /// Lines of tables, from top to bottom.
    pub rules: Vec<Rule>,
}

/// What was drawn on the pages of a PDF.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Document {
    /// The pages in order.
    pub pages: Vec<Page>,
}
