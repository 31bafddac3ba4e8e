//! Draws PDFs of forms, with any letters, in the layout of the facility's web form, of simple forms and of quotes.

use std::collections::BTreeSet;
use std::fmt::Write;

/// The width of each letter, as part of the font size.
const LETTER: f64 = 0.5;
const HEIGHT: f64 = 792.0;
const BOTTOM: f64 = 760.0;

/// Pages under construction; distances are from the top left corner.
pub(crate) struct Paper {
    pages: Vec<String>,
    letters: BTreeSet<char>,
    /// Where the next thing is drawn.
    pub(crate) at: f64,
}

impl Paper {
    pub(crate) fn new() -> Self {
        Self {
            pages: vec![String::new()],
            letters: BTreeSet::new(),
            at: 30.0,
        }
    }

    fn draw(&mut self, operators: &str) {
        let page = self.pages.last_mut().unwrap();
        page.push_str(operators);
        page.push('\n');
    }

    /// Begins a page unless so many points are left.
    pub(crate) fn need(&mut self, points: f64) -> bool {
        let full = self.at + points > BOTTOM;
        if full {
            self.pages.push(String::new());
            self.at = 30.0;
        }
        full
    }

    /// Text with its top at a height.
    pub(crate) fn text(&mut self, x: f64, top: f64, size: f64, text: &str) {
        let mut hex = String::new();
        for letter in text.chars() {
            self.letters.insert(letter);
            write!(hex, "{:04X}", u32::from(letter)).unwrap();
        }
        let y = HEIGHT - top - 0.8 * size;
        self.draw(&format!("BT /F {size} Tf 1 0 0 1 {x} {y} Tm <{hex}> Tj ET"));
    }

    /// Operators as they are: for what no form has.
    pub(crate) fn raw(&mut self, operators: &str) {
        self.draw(operators);
    }

    pub(crate) fn line(&mut self, x: f64, size: f64, text: &str) {
        self.need(1.6 * size);
        let at = self.at;
        self.text(x, at, size, text);
        self.at += 1.6 * size;
    }

    pub(crate) fn frame(&mut self, x: f64, top: f64, w: f64, h: f64) {
        let y = HEIGHT - top - h;
        self.draw(&format!("0.6 w {x} {y} {w} {h} re S"));
    }

    /// A radio button or a tick box, and its label.
    pub(crate) fn option(&mut self, round: bool, ticked: bool, label: &str) {
        self.need(16.0);
        let (x, y) = (30.0, HEIGHT - self.at - 9.5);
        if round {
            self.circle(x + 4.5, y + 4.5, 4.5, "S");
            if ticked {
                self.circle(x + 4.5, y + 4.5, 2.2, "f");
            }
        } else {
            self.draw(&format!("0.8 w {x} {y} 9 9 re S"));
            if ticked {
                let (a, b, c, d) = (x + 1.5, y + 1.5, x + 7.5, y + 7.5);
                self.draw(&format!(
                    "1.2 w {a} {b} m {c} {d} l S {a} {d} m {c} {b} l S"
                ));
            }
        }
        let at = self.at;
        self.text(44.0, at, 9.0, label);
        self.at += 16.0;
    }

    fn circle(&mut self, x: f64, y: f64, r: f64, paint: &str) {
        let k = 0.5523 * r;
        let (l, t, e, b) = (x - r, y + r, x + r, y - r);
        self.draw(&format!(
            "0.8 w {e} {y} m {e} {} {} {t} {x} {t} c {} {t} {l} {} {l} {y} c {l} {} {} {b} {x} {b} c {} {b} {e} {} {e} {y} c h {paint}",
            y + k, x + k, x - k, y + k, y - k, x - k, x + k, y - k
        ));
    }

    /// The file.
    pub(crate) fn pdf(self) -> Vec<u8> {
        let mut map = String::from(
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def /CMapType 2 def \
             1 begincodespacerange <0000> <FFFF> endcodespacerange\n",
        );
        let letters: Vec<char> = self.letters.into_iter().collect();
        for part in letters.chunks(100) {
            writeln!(map, "{} beginbfchar", part.len()).unwrap();
            for letter in part {
                writeln!(map, "<{0:04X}> <{0:04X}>", u32::from(*letter)).unwrap();
            }
            map.push_str("endbfchar\n");
        }
        map.push_str("endcmap CMapName currentdict /CMap defineresource pop end end");
        let stream = |content: &str| {
            format!(
                "<</Length {}>>\nstream\n{content}\nendstream",
                content.len()
            )
        };
        let kids: Vec<String> = (0..self.pages.len())
            .map(|index| format!("{} 0 R", 7 + 2 * index))
            .collect();
        let mut objects = vec![
            "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
            format!("<</Type/Pages/Kids[{}]/Count {}>>", kids.join(" "), kids.len()),
            "<</Type/Font/Subtype/Type0/BaseFont/Drawn/Encoding/Identity-H/DescendantFonts[4 0 R]/ToUnicode 6 0 R>>".to_owned(),
            format!(
                "<</Type/Font/Subtype/CIDFontType2/BaseFont/Drawn/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)\
                 /Supplement 0>>/DW {}/FontDescriptor 5 0 R>>",
                1000.0 * LETTER
            ),
            "<</Type/FontDescriptor/FontName/Drawn/Flags 4/FontBBox[0 -200 1000 800]/ItalicAngle 0/Ascent 800\
             /Descent -200/CapHeight 700/StemV 80>>"
                .to_owned(),
            stream(&map),
        ];
        for (index, page) in self.pages.iter().enumerate() {
            objects.push(format!(
                "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F 3 0 R>>>>/Contents {} 0 R>>",
                8 + 2 * index
            ));
            objects.push(stream(page));
        }
        let objects: Vec<Vec<u8>> = objects.into_iter().map(String::into_bytes).collect();
        crate::hostile::pdf(&objects)
    }
}

/// How wide a text is.
fn width(text: &str, size: f64) -> f64 {
    LETTER * size * f64::from(u32::try_from(text.chars().count()).unwrap())
}

/// Breaks a text so that each line fits.
pub(crate) fn wrapped(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
