//! Rewrites painting operators so that the parser sees every path it paints, and no path twice.
//!
//! The parser reports paths for `S`, `f` and `F` alone. It ignores `s`, `B`, `b` and the even-odd
//! forms and does not even end the path there, so that one box would run into the next.

use pdf_extract::content::{Content, Operation};
use pdf_extract::{Document, ObjectId};

use super::conceal::Signs;

/// Decodes the operations of a page.
///
/// # Errors
/// The page has no content that can be decoded.
pub(super) fn operations(
    document: &Document,
    page: ObjectId,
) -> Result<Vec<Operation>, pdf_extract::Error> {
    Ok(Content::decode(&document.get_page_content(page)?)?.operations)
}

/// Splits each combined painting operator of a page into a fill and a stroke, and signs text that is not to be seen.
///
/// # Errors
/// The page has no content that can be changed.
pub(super) fn separate_paint(
    document: &mut Document,
    page: ObjectId,
    operations: Vec<Operation>,
    signs: Signs,
) -> Result<(), pdf_extract::Error> {
    let signed = signs.signed(&operations);
    let mut all = operations.iter();
    if signed.is_none() && !all.any(|operation| is_combined(&operation.operator)) {
        return Ok(());
    }
    let operations = signed.unwrap_or(operations);
    let mut operations = separated(operations);
    // Pictures inside the content say nothing here, and do not come through being written again.
    operations.retain(|it| it.operator != "BI");
    document.change_page_content(page, Content { operations }.encode()?)
}

fn is_combined(operator: &str) -> bool {
    matches!(operator, "s" | "f*" | "B" | "B*" | "b" | "b*")
}

fn separated(operations: Vec<Operation>) -> Vec<Operation> {
    let mut out = Vec::with_capacity(operations.len());
    let mut path: Vec<Operation> = Vec::new();
    for operation in operations {
        match operation.operator.as_str() {
            "m" | "l" | "c" | "v" | "y" | "h" | "re" => {
                path.push(operation.clone());
                out.push(operation);
            }
            "s" => {
                out.extend([paint("h"), paint("S")]);
                path.clear();
            }
            "f*" => {
                out.push(paint("f"));
                path.clear();
            }
            "b" | "b*" => {
                out.extend([paint("h"), paint("f")]);
                out.append(&mut path);
                out.extend([paint("h"), paint("S")]);
            }
            "B" | "B*" => {
                out.push(paint("f"));
                out.append(&mut path);
                out.push(paint("S"));
            }
            "S" | "f" | "F" | "n" => {
                path.clear();
                out.push(operation);
            }
            _ => out.push(operation),
        }
    }
    out
}

fn paint(operator: &str) -> Operation {
    Operation::new(operator, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &str) {
        let content = Content::decode(input.as_bytes()).unwrap();
        let operators: Vec<String> = separated(content.operations)
            .into_iter()
            .map(|it| it.operator)
            .collect();
        assert_eq!(operators.join(" "), expected);
    }

    #[test]
    fn a_fill_with_stroke_becomes_a_fill_and_a_stroke_of_the_same_path() {
        check("1 2 3 4 re B 5 6 m 7 8 l S", "re f re S m l S");
    }

    #[test]
    fn a_closing_operator_closes_the_path_first() {
        check("1 2 m 3 4 l b*", "m l h f m l h S");
        check("1 2 m 3 4 l s 0 0 1 1 re f*", "m l h S re f");
    }

    #[test]
    fn a_path_that_is_not_painted_does_not_come_back() {
        check("1 2 3 4 re W n 5 6 7 8 re b", "re W n re h f re h S");
    }
}
