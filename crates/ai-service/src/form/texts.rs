//! Reads what is written under a heading: one value, comments, e-mail addresses.

use super::evidence::{Findings, IssueCode, Passage};
use super::layout::Region;
use crate::pdf::{Line, Page};

/// Flow cells that one submission may ask for.
const FLOW_CELLS: std::ops::RangeInclusive<u32> = 1..=10;
/// A value that is meant to be short and is longer than this is for a person to look at.
const SHORT_VALUE_CHARS: usize = 60;

/// A gap wider than this part of the font size is a line left blank.
const BLANK_LINE_GAP: f64 = 1.1;

/// One value, its lines joined with a space.
pub(super) fn value(region: &Region<'_>, findings: &mut Findings) -> String {
    let Some(passage) = whole(region, |_, _| " ") else {
        return String::new();
    };
    let short = if passage.text.chars().count() <= SHORT_VALUE_CHARS {
        1.0
    } else {
        0.6
    };
    let digits = if passage.text.contains(|it: char| it.is_ascii_digit()) {
        1.0
    } else {
        0.8
    };
    findings.found(
        region.section.field(),
        &passage.text,
        region.quality * short * digits,
        &passage,
    );
    passage.text
}

/// The number of flow cells: kept as written, checked when it is a number.
pub(super) fn flow_cell_count(region: &Region<'_>, findings: &mut Findings) -> String {
    let text = value(region, findings);
    let field = region.section.field();
    let (least, most) = (FLOW_CELLS.start(), FLOW_CELLS.end());
    match text.parse::<u32>() {
        Ok(count) if !FLOW_CELLS.contains(&count) => {
            let message = format!("{field}: {count} is outside {least} to {most}");
            findings.issue(IssueCode::OutOfRange, field, message);
        }
        Err(_) if !text.is_empty() => {
            let message = format!("{field}: `{text}` is not a whole number from {least} to {most}");
            findings.issue(IssueCode::UnusualValue, field, message);
        }
        _ => {}
    }
    text
}

/// Comments. A line that was full goes on with a space, a shorter one ended with a line break.
pub(super) fn comments(region: &Region<'_>, findings: &mut Findings) -> String {
    let passage = whole(region, |(page, line), next| {
        let word = next.words.first().map_or(0.0, |word| word.rect.w);
        // A space is a third of the font size; a tenth less makes up for rounded positions.
        let full = line.rect.right() + 0.3 * line.size + word > right_edge(page) - 0.1 * line.size;
        let blank_line = next.rect.y - line.rect.bottom() > BLANK_LINE_GAP * line.size;
        match (blank_line, full) {
            (true, _) => "\n\n",
            (false, true) => " ",
            (false, false) => "\n",
        }
    });
    let Some(passage) = passage else {
        return String::new();
    };
    findings.found(
        region.section.field(),
        &passage.text,
        region.quality * 0.97,
        &passage,
    );
    passage.text
}

/// Where text has to wrap: as far from the right as all text keeps from the left, or where the
/// text that goes farthest ends.
fn right_edge(page: &Page) -> f64 {
    let left = page
        .lines
        .iter()
        .map(|line| line.rect.x)
        .fold(f64::MAX, f64::min);
    let mirrored = page.visible.right() - (left - page.visible.x).max(0.0);
    page.lines
        .iter()
        .map(|line| line.rect.right())
        .fold(mirrored, f64::max)
}

/// E-mail addresses, separated by commas, semicolons, spaces or lines.
pub(super) fn emails(region: &Region<'_>, findings: &mut Findings) -> Vec<String> {
    let field = region.section.field();
    let mut out: Vec<String> = Vec::new();
    let inline = region.inline.iter().cloned();
    let lines = region.lines().map(|(page, line)| passage_of(page, line));
    for passage in inline.chain(lines) {
        let separators = |it: char| it.is_whitespace() || it == ',' || it == ';';
        for token in passage.text.split(separators) {
            let token = token.trim_matches(['<', '>', '(', ')', '"', '.']);
            let token = token.strip_prefix("mailto:").unwrap_or(token);
            if token.is_empty() || out.iter().any(|known| known == token) {
                continue;
            }
            if is_email(token) {
                let path = format!("{field}[{}]", out.len());
                findings.found(path, token, region.quality, &passage);
                out.push(token.to_owned());
            } else {
                let message = format!("{field}: `{token}` is not an e-mail address");
                findings.issue(IssueCode::NotAnEmail, field, message);
            }
        }
    }
    out
}

/// Everything under a heading, with what joins two lines.
fn whole(
    region: &Region<'_>,
    joint: impl Fn((&Page, &Line), &Line) -> &'static str,
) -> Option<Passage> {
    let mut passage = region.inline.clone();
    let mut last: Option<(&Page, &Line)> = None;
    for (page, line) in region.lines() {
        match &mut passage {
            Some(passage) => {
                passage
                    .text
                    .push_str(last.map_or(" ", |last| joint(last, line)));
                passage.text.push_str(&line.text());
                // The box is that of the first page when a text goes on over the page's end.
                if passage.page == page.number {
                    passage.rect = passage.rect.union(&line.rect);
                }
            }
            None => passage = Some(passage_of(page, line)),
        }
        last = Some((page, line));
    }
    passage
}

fn passage_of(page: &Page, line: &Line) -> Passage {
    Passage {
        page: page.number,
        rect: line.rect,
        text: line.text(),
    }
}

/// Whether a text has the shape of an address: a name, `@`, a domain with a dot.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else {
        return false;
    };
    let label = |it: &str| !it.is_empty() && it.chars().all(|it| it.is_alphanumeric() || it == '-');
    text.len() <= 254
        && !name.is_empty()
        && name
            .chars()
            .all(|it| it.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(it))
        && domain.contains('.')
        && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_name_and_a_domain_with_a_dot() {
        for text in [
            "a@b.org",
            "first.last+x@lab.example.edu",
            "jürgen@uni-köln.de",
        ] {
            assert!(is_email(text), "{text}");
        }
        for text in [
            "a@b",
            "@b.org",
            "a@b..org",
            "a b@c.org",
            "a@b@c.org",
            "phone",
            "a@.org",
        ] {
            assert!(!is_email(text), "{text}");
        }
    }
}
