//! The rules of single values: texts that hold names, e-mail addresses, numbers in a range.

use sagabus::event::hidden;

use super::field::FieldErrors;

/// Longest name, in characters.
pub(super) const NAME_CHARACTERS_MAX: usize = 255;

/// Which characters a text may have besides letters, digits and the space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) characters_max: usize,
    pub(super) digits: bool,
    /// Whether it may have several lines.
    pub(super) lines: bool,
    /// `None` lets every character stand that is not a control character.
    pub(super) marks: Option<&'static str>,
}

/// Names of samples and projects.
pub(super) const SAMPLE_NAME: Text = Text {
    characters_max: NAME_CHARACTERS_MAX,
    digits: true,
    lines: false,
    marks: Some("-_."),
};
/// Names of service projects.
pub(super) const PROJECT: Text = Text {
    characters_max: 100,
    ..SAMPLE_NAME
};
/// Names of persons.
pub(super) const PERSON: Text = Text {
    characters_max: NAME_CHARACTERS_MAX,
    digits: false,
    lines: false,
    marks: Some("-'’.,"),
};
/// Names of laboratories.
pub(super) const LAB: Text = Text {
    characters_max: NAME_CHARACTERS_MAX,
    digits: true,
    lines: false,
    marks: Some("-_.,'’()&/"),
};
/// Catalogue words: buffers, kits, flow cells.
pub(super) const CATALOGUE: Text = Text {
    characters_max: 100,
    digits: true,
    lines: false,
    marks: None,
};
/// Sizes and lengths in the submitter's words.
pub(super) const SHORT: Text = Text {
    characters_max: 50,
    ..CATALOGUE
};
/// What people note.
pub(super) const NOTES: Text = Text {
    characters_max: 10_000,
    lines: true,
    ..CATALOGUE
};

impl Text {
    /// What is wrong with `text`.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        if text.trim().is_empty() {
            return Err("is empty".to_owned());
        }
        let characters = text.chars().count();
        if characters > self.characters_max {
            return Err(format!(
                "has {characters} characters, more than {}",
                self.characters_max
            ));
        }
        match text.chars().find(|character| !self.allows(*character)) {
            Some(character) => Err(format!(
                "has `{}`, which is not allowed here",
                character.escape_debug()
            )),
            None => Ok(()),
        }
    }

    fn allows(self, character: char) -> bool {
        let Some(marks) = self.marks else {
            return !character.is_control() || (self.lines && "\n\r\t".contains(character));
        };
        character == ' '
            || character.is_alphabetic()
            || is_combining(character)
            || (self.digits && character.is_numeric())
            || marks.contains(character)
    }
}

/// Accents that follow their letter instead of being one with it.
fn is_combining(character: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&character)
}

/// What is wrong with the name of a file: it has 1 to 255 characters, all of which are to be seen.
///
/// # Errors
/// In words that follow the name of the field.
pub fn check_file_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    let characters = name.chars().count();
    if characters > NAME_CHARACTERS_MAX {
        return Err(format!(
            "has {characters} characters, more than {NAME_CHARACTERS_MAX}"
        ));
    }
    visible(name)
}

/// What is wrong with a text that stands where others look for it, such as an id: each of its characters is to be seen.
///
/// # Errors
/// The first that is not, to be said behind the name of the field.
pub fn visible(text: &str) -> Result<(), String> {
    match hidden(text) {
        Some(it) => Err(format!(
            "has the character U+{:04X}, which is not to be seen",
            u32::from(it)
        )),
        None => Ok(()),
    }
}

/// What is wrong with an e-mail address: the syntax that mail systems accept in practice.
pub(super) fn email(text: &str) -> Result<(), String> {
    const WRONG: &str = "is not an e-mail address";
    if text.len() > 254 {
        return Err(format!("has {} bytes, more than 254", text.len()));
    }
    let (local, domain) = text.rsplit_once('@').ok_or_else(|| WRONG.to_owned())?;
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && local.split('.').all(|part| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|it| it.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(it))
        });
    let domain_ok = domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|it| it.is_alphanumeric() || it == '-')
        });
    if local_ok && domain_ok {
        Ok(())
    } else {
        Err(WRONG.to_owned())
    }
}

/// A number for people: one that would be a row of zeros is written with its power of ten.
#[must_use]
pub fn written(number: f64) -> String {
    match number.abs() {
        size if size == 0.0 || (1e-6..1e16).contains(&size) => number.to_string(),
        _ => format!("{number:e}"),
    }
}

/// What is wrong with a number: `min` and `max` are allowed, `unit` is said in the text.
pub(super) fn range(number: f64, (min, max): (f64, f64), unit: &str) -> Result<(), String> {
    if (min..=max).contains(&number) {
        Ok(())
    } else {
        Err(format!(
            "is {}{unit}, not within {min} to {max}{unit}",
            written(number)
        ))
    }
}

/// Checks the name of a person, where it is said.
///
/// # Errors
/// `field`, as it would be refused for a sample.
pub fn check_person(field: &str, name: Option<&str>) -> Result<(), FieldErrors> {
    match name.map(|name| PERSON.check(name)) {
        Some(Err(message)) => Err(FieldErrors::one(field, message)),
        _ => Ok(()),
    }
}

/// Checks who submits and where to reach them, where it is said.
///
/// # Errors
/// `submitterName` or `submitterEmail`, as they would be refused for a sample.
pub fn check_submitter(name: Option<&str>, email: Option<&str>) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    for (field, outcome) in [
        ("submitterName", name.map(|name| PERSON.check(name))),
        ("submitterEmail", email.map(|it| self::email(it.trim()))),
    ] {
        if let Some(Err(message)) = outcome {
            errors.add(field, message);
        }
    }
    if errors.0.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}
