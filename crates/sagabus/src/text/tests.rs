//! What is hidden, and how it is shown.

use super::*;

#[test]
fn what_a_reader_does_not_see_is_hidden_and_nothing_else() {
    let hidden = "\0\n\r\t\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{200e}\u{2028}\u{202e}\u{2066}\u{feff}\u{e0041}\
        \u{2800}\u{fdd0}\u{fdef}\u{fffe}\u{ffff}\u{1fffe}\u{1ffff}\u{10fffe}\u{10ffff}\u{3164}\u{115f}\u{1160}\u{180e}\u{ffa0}";
    for it in hidden.chars() {
        assert!(is_hidden(it), "{it:?}");
        assert!(check_visible("id", &format!("a{it}b")).is_err(), "{it:?}");
    }
    // Letters of any script and signs are seen, those that look like others too: they are other names.
    for it in "aZ0 -_./µéаΑ١漢😀⠁\u{fdcf}\u{fdf0}\u{fffd}".chars() {
        assert!(!is_hidden(it), "{it:?}");
    }
    assert!(check_visible("id", "аdmin").is_ok());
}

#[test]
fn a_hidden_character_is_named_with_its_field() {
    let text = check_visible("subject", "S-1\u{202e}")
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("`subject` has the character U+202E"),
        "{text}"
    );
}

#[test]
fn a_text_for_operators_is_one_line_of_what_it_seems_to_be() {
    for (text, shown) in [
        ("plain µ \"q\" \\", "plain µ \"q\" \\"),
        ("a\nb\u{1b}[31m", "a\\nb\\u{1b}[31m"),
        ("abc\u{202e}fdp", "abc\\u{202e}fdp"),
    ] {
        assert_eq!(visible(text.into()), shown);
    }
}

#[test]
fn an_error_and_its_causes_are_one_line_whatever_they_cite() {
    let cause = std::io::Error::other("cause\nof\u{1b}[2J it");
    let error = Error::invalid("what\rwas \u{202e}given").with_source(cause);
    assert_eq!(error.to_string(), "what\\rwas \\u{202e}given");
    let chain = "what\\rwas \\u{202e}given: cause\\nof\\u{1b}[2J it";
    assert_eq!(error.chain(), chain);
}
