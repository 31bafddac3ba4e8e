//! Marks text that a reader does not see, so that it never becomes a value.
//!
//! The parser tells neither the render mode nor the colour of a glyph. So each operation that shows text in an invisible
//! mode or in white is put between two paths that no page has: their place is drawn by lot for each document, so that
//! none that a page itself paints is taken for one. The collector reads them as signs, one inside the other.

use pdf_extract::content::{Content, Operation};
use pdf_extract::{Document, Object};

/// How the text between two signs is painted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Look {
    /// Not at all.
    Invisible,
    /// In white: to be seen only on a dark ground.
    White,
}

/// What a path that is a sign says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sign {
    /// Text of this look begins.
    Begin(Look),
    /// It ends.
    End,
}

/// Where the signs of a document are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs(i32);

/// Brighter than this is white.
pub(super) const WHITE_LUMINANCE: f64 = 0.95;

impl Signs {
    /// A place that nobody can foretell.
    pub(super) fn by_lot() -> Self {
        use std::hash::{BuildHasher, Hasher};
        let lot = std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish();
        // Whole numbers up to 2^24 pass through every kind of number a parser may use.
        Self(-8_000_000 - i32::try_from(lot % 8_000_000).unwrap_or(0))
    }

    fn edge(self, sign: Sign) -> i32 {
        self.0
            - match sign {
                Sign::End => 0,
                Sign::Begin(Look::Invisible) => 1,
                Sign::Begin(Look::White) => 2,
            }
    }

    /// What a path with this left edge says.
    pub(super) fn read(self, left: f64) -> Option<Sign> {
        [
            Sign::End,
            Sign::Begin(Look::Invisible),
            Sign::Begin(Look::White),
        ]
        .into_iter()
        .find(|sign| f64::from(self.edge(*sign)) == left)
    }

    fn path(self, sign: Sign) -> [Operation; 2] {
        let corner = [self.edge(sign), 0, 1, 1].map(|it| Object::Integer(i64::from(it)));
        [
            Operation::new("re", corner.to_vec()),
            Operation::new("f", Vec::new()),
        ]
    }

    /// Puts signs around each operation that shows text without ink; nothing when there is none.
    pub(super) fn signed(self, operations: &[Operation]) -> Option<Vec<Operation>> {
        let mut out = Vec::with_capacity(operations.len());
        let (mut state, mut saved) = (State::default(), Vec::new());
        let mut any = false;
        for operation in operations {
            match operation.operator.as_str() {
                "q" => saved.push(state),
                // One without its beginning changes nothing.
                "Q" => state = saved.pop().unwrap_or(state),
                _ => state = state.after(operation),
            }
            // What a form inside the page shows takes over how the page paints.
            let shows = matches!(operation.operator.as_str(), "Tj" | "TJ" | "'" | "\"" | "Do");
            match state.look().filter(|_| shows) {
                Some(look) => {
                    any = true;
                    out.extend(self.path(Sign::Begin(look)));
                    out.push(operation.clone());
                    out.extend(self.path(Sign::End));
                }
                None => out.push(operation.clone()),
            }
        }
        any.then_some(out)
    }

    /// The same in each form that pages may show.
    pub(super) fn sign_forms(self, document: &mut Document) {
        for object in document.objects.values_mut() {
            let Object::Stream(stream) = object else {
                continue;
            };
            let subtype = stream.dict.get(b"Subtype").and_then(Object::as_name);
            if !subtype.is_ok_and(|it| it == b"Form") {
                continue;
            }
            // What cannot be decoded here the parser cannot show either.
            let Ok(content) = stream.get_plain_content() else {
                continue;
            };
            let Ok(content) = Content::decode(&content) else {
                continue;
            };
            let signed = self.signed(&content.operations).map(without_pictures);
            if let Some(operations) = signed
                && let Ok(bytes) = (Content { operations }).encode()
            {
                stream.set_plain_content(bytes);
            }
        }
    }
}

/// Pictures inside the content do not come through being written again.
fn without_pictures(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations.retain(|it| it.operator != "BI");
    operations
}

#[derive(Clone, Copy, Default)]
struct State {
    invisible: bool,
    white: bool,
}

impl State {
    fn look(self) -> Option<Look> {
        match (self.invisible, self.white) {
            (true, _) => Some(Look::Invisible),
            (false, true) => Some(Look::White),
            (false, false) => None,
        }
    }

    fn after(mut self, operation: &Operation) -> Self {
        let numbers = || -> Vec<f64> {
            let operands = operation.operands.iter();
            operands
                .filter_map(|it| it.as_float().ok())
                .map(f64::from)
                .collect()
        };
        match operation.operator.as_str() {
            // 3: neither filled nor stroked; 7: only a clip.
            "Tr" => {
                self.invisible = numbers().first().is_some_and(|it| [3.0, 7.0].contains(it));
            }
            "g" | "rg" | "k" | "sc" | "scn" => {
                let brightness = super::collect::brightness(&numbers());
                self.white = brightness.is_some_and(|it| it > WHITE_LUMINANCE);
            }
            "cs" => self.white = false,
            _ => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(input: &str) -> Option<String> {
        let content = Content::decode(input.as_bytes()).unwrap();
        let signs = Signs::by_lot();
        let name = |it: &Operation| match it.operands.first().map(Object::as_i64) {
            Some(Ok(left)) if it.operator == "re" => {
                format!("{:?}", signs.read(f64::from(i32::try_from(left).unwrap())))
            }
            _ => it.operator.clone(),
        };
        let operations = signs.signed(&content.operations)?;
        Some(operations.iter().map(name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn only_text_without_ink_is_put_between_signs() {
        assert_eq!(signed("1 g 0 0 9 9 re f 0 g (a) Tj 0 Tr (b) Tj"), None);
        let around = |look: &str, what: &str| format!("Some(Begin({look})) f {what} Some(End) f");
        let check = |input: &str, expected: String| {
            assert_eq!(signed(input).unwrap(), expected, "{input}");
        };
        check("3 Tr (a) Tj", format!("Tr {}", around("Invisible", "Tj")));
        check(
            "q 1 g Q 7 Tr Q (a) Tj",
            format!("q g Q Tr Q {}", around("Invisible", "Tj")),
        );
        check("1 1 1 rg /X Do", format!("rg {}", around("White", "Do")));
        check("0 0 0 0 k [(a)] TJ", format!("k {}", around("White", "TJ")));
    }
}
