//! Rules of joining glyphs.

use super::*;

fn glyph(text: &str, x: f64, baseline: f64, size: f64) -> Glyph {
    Glyph {
        text: text.to_owned(),
        x,
        baseline,
        width: size / 2.0,
        size,
        look: None,
    }
}

fn check(glyphs: Vec<Glyph>, expected: &[&str]) {
    let texts: Vec<String> = lines(glyphs).iter().map(Line::text).collect();
    assert_eq!(texts, expected);
}

#[test]
fn a_tab_between_glyphs_separates_words_with_one_space() {
    check(
        vec![
            glyph("a", 0.0, 10.0, 10.0),
            glyph("\t", 5.0, 10.0, 10.0),
            glyph("b", 10.0, 10.0, 10.0),
        ],
        &["a b"],
    );
}

#[test]
fn a_wide_gap_separates_words_without_a_white_space_glyph() {
    check(
        vec![glyph("a", 0.0, 10.0, 10.0), glyph("b", 9.0, 10.0, 10.0)],
        &["a b"],
    );
    check(
        vec![glyph("a", 0.0, 10.0, 10.0), glyph("b", 6.0, 10.0, 10.0)],
        &["ab"],
    );
}

#[test]
fn a_ligature_comes_apart_and_an_accent_is_composed() {
    check(
        vec![
            glyph("\u{fb01}", 0.0, 10.0, 10.0),
            glyph("e\u{301}", 5.0, 10.0, 10.0),
        ],
        &["fi\u{e9}"],
    );
}

#[test]
fn a_subscript_joins_the_word_that_it_hangs_on() {
    check(
        vec![
            glyph("A", 0.0, 10.0, 10.0),
            glyph("2", 5.0, 12.0, 7.0),
            glyph("6", 8.5, 12.0, 7.0),
            glyph("/", 12.0, 10.0, 10.0),
        ],
        &["A26/"],
    );
}

#[test]
fn a_line_of_smaller_print_below_stays_its_own_line() {
    check(
        vec![glyph("A", 0.0, 10.0, 10.0), glyph("b", 0.0, 19.0, 7.0)],
        &["A", "b"],
    );
}

#[test]
fn a_glyph_painted_twice_for_bold_type_is_read_once() {
    check(
        vec![
            glyph("o", 0.0, 10.0, 10.0),
            glyph("o", 0.3, 10.0, 10.0),
            glyph("o", 5.0, 10.0, 10.0),
        ],
        &["oo"],
    );
}
