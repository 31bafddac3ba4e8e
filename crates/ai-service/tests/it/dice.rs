//! What drawn documents are filled with, one seed for each; reading them, and saying how well they were read.

use ai_service::form::{Extraction, Sample};

use crate::compare::{Counts, rows};

/// Names that a reader may stumble over.
pub(crate) const NAMES: [&str; 14] = [
    "moss",
    "Ω-7 β",
    "Größe",
    "样本",
    "É. coli K-12",
    "Sample Name",
    "Note",
    "12",
    "0.5",
    "a/b (3)",
    "µL",
    "Łódź_4",
    "File Format",
    "Ελιά",
];
pub(crate) const WORDS: [&str; 8] = [
    "please",
    "return",
    "tubes",
    "before",
    "Ångström",
    "spring",
    "(cold)",
    "–20 °C",
];

/// A small generator of numbers; one seed, one form.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((it ^ (it >> 31)) % sides).unwrap()
    }

    pub(crate) fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len() as u64)]
    }

    /// A number of hundredths, or nothing one time in five.
    pub(crate) fn number(&mut self, least: u32, most: u32) -> Option<f64> {
        let span = u64::from(most - least);
        let value = f64::from(least) + f64::from(u32::try_from(self.roll(span)).unwrap());
        (self.roll(5) > 0).then_some(value / 100.0)
    }

    pub(crate) fn name(&mut self, index: usize) -> String {
        let mut name = format!("{} {index}", self.of(&NAMES));
        if self.roll(6) == 0 {
            name = format!(
                "{name} of the {} and the {} plot",
                self.of(&WORDS),
                self.of(&NAMES)
            );
        }
        if self.roll(3) == 0 && name.chars().count() < 30 {
            name = name.replace(' ', "_");
        }
        name
    }

    pub(crate) fn sample(&mut self, index: usize) -> Sample {
        Sample {
            sample_name: self.name(index),
            volume_ul: self.number(500, 20_000),
            qubit_ng_ul: self.number(100, 90_000),
            nanodrop_ng_ul: self.number(100, 90_000),
            concentration_ng_ul: None,
            a260_280: self.number(160, 220),
            a260_230: self.number(150, 230),
        }
    }
}

pub(crate) async fn read(bytes: Vec<u8>) -> Extraction {
    ai_service::extract(&crate::reader(), bytes.into(), |_| {})
        .await
        .unwrap()
}

#[expect(
    clippy::print_stdout,
    reason = "the table is what the test is run for by hand"
)]
pub(crate) fn say(title: &str, counts: &Counts, differences: &str) {
    println!("{title}\n{}{differences}", rows(counts));
}
