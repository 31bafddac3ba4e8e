//! Reads the head: the service project, its owner and the owner's lab.

use super::evidence::{Findings, Passage};
use super::layout::Region;
use super::model::Form;
use crate::pdf::{Line, Page};

/// Fills the three fields that the facility prints above the form.
pub(super) fn read(region: &Region<'_>, form: &mut Form, findings: &mut Findings) {
    let lines: Vec<(&Page, &Line)> = region.lines().collect();
    if let Some(passage) = paragraph(&lines, "Service Project", Some("Owner:")) {
        let text = passage
            .text
            .strip_prefix("Service Project")
            .unwrap_or_default()
            .trim();
        // "HTSF--AB-123 at <facility>": the facility is no part of the project's name.
        let (project, clean) = match text.split_once(" at ") {
            Some((project, _facility)) => (project.trim(), 1.0),
            None => (text, 0.8),
        };
        if !project.is_empty() {
            let shape = if project.contains(char::is_whitespace) {
                0.7
            } else {
                1.0
            };
            findings.found(
                "service_project",
                project,
                region.quality * clean * shape,
                &passage,
            );
            project.clone_into(&mut form.service_project);
        }
    }
    if let Some(passage) = paragraph(&lines, "Owner:", None) {
        let text = passage
            .text
            .strip_prefix("Owner:")
            .unwrap_or_default()
            .trim();
        let (owner, lab) = owner_and_lab(text);
        let clean = if lab.is_some() { 1.0 } else { 0.8 };
        if !owner.is_empty() {
            findings.found("owner", owner, region.quality * clean, &passage);
            owner.clone_into(&mut form.owner);
        }
        if let Some(lab) = lab {
            findings.found("lab", lab, region.quality, &passage);
            lab.clone_into(&mut form.lab);
        }
    }
}

/// The lines from the one that begins with `start` up to the one that begins with `end`.
fn paragraph(lines: &[(&Page, &Line)], start: &str, end: Option<&str>) -> Option<Passage> {
    let from = lines
        .iter()
        .position(|(_, line)| line.text().starts_with(start))?;
    let mut own = lines.iter().skip(from);
    let (page, first) = own.next()?;
    let mut passage = Passage {
        page: page.number,
        rect: first.rect,
        text: first.text(),
    };
    for (_, line) in own {
        if end.is_some_and(|end| line.text().starts_with(end)) {
            break;
        }
        passage.text.push(' ');
        passage.text.push_str(&line.text());
        passage.rect = passage.rect.union(&line.rect);
    }
    Some(passage)
}

/// Takes "Ada Lovelace (Lovelace, Ada (UNC) Lab)" apart.
fn owner_and_lab(text: &str) -> (&str, Option<&str>) {
    match text.split_once(" (") {
        Some((owner, lab)) if lab.ends_with(')') && lab.len() > 1 => {
            (owner.trim(), lab.strip_suffix(')').map(str::trim))
        }
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_keeps_its_own_parentheses() {
        let check = |text, expected| assert_eq!(owner_and_lab(text), expected);
        check(
            "Ada Loe (Loe, Ada (UNC) Lab)",
            ("Ada Loe", Some("Loe, Ada (UNC) Lab")),
        );
        check("Ada Loe", ("Ada Loe", None));
        check("Ada Loe (cut of", ("Ada Loe (cut of", None));
        check("", ("", None));
    }
}
