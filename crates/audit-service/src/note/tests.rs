//! Signed notes, byte by byte.

use super::*;

/// The example of the Go packages `note` and `sumdb`, whose key was made to be shown.
const GO_PRIVATE: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fn signer() -> Signer {
    Signer::new("lab.example.edu/audit".to_owned(), &[7; 32])
}

fn state() -> State {
    State {
        size: 42,
        root: [3; 32],
    }
}

#[test]
fn keys_are_read_and_written_as_other_programs_do() {
    let signer = Signer::read(GO_PRIVATE).unwrap();
    assert_eq!(signer.verifier().to_string(), GO_PUBLIC);
    assert_eq!(signer.text().trim_end(), GO_PRIVATE);
    assert_eq!(Verifier::read(GO_PUBLIC).unwrap(), *signer.verifier());
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let line = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    assert!(signer.verifier().is_signature(line, text));
}

#[test]
fn a_signed_state_is_read_again() {
    let signer = signer();
    let checkpoint = signer.sign(state());
    let lines: Vec<&str> = checkpoint.note.lines().collect();
    assert_eq!(lines[..2], ["lab.example.edu/audit", "42"]);
    assert_eq!(
        signer.verifier().open(&checkpoint.note).unwrap(),
        checkpoint
    );
}

#[test]
fn a_note_with_any_byte_changed_is_refused() {
    let signer = signer();
    let note = signer.sign(state()).note;
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                let read = signer.verifier().open(&text);
                assert!(read.is_err(), "byte {at}, bit {bit}: {text}");
            }
        }
    }
}

#[test]
fn notes_that_are_none_are_refused_in_words() {
    let signer = signer();
    let other = Signer::new("lab.example.edu/audit".to_owned(), &[8; 32]);
    let elsewhere = Signer::new("other".to_owned(), &[7; 32]);
    let note = signer.sign(state()).note;
    for (note, words) in [
        (String::new(), "no signature"),
        ("a\n\nb\n".to_owned(), "of the log `a`"),
        (other.sign(state()).note, "not signed by"),
        (elsewhere.sign(state()).note, "of the log `other`"),
        (note.replace("\n42\n", "\n042\n"), "no size"),
        (note.replace("\n42\n", "\n+42\n"), "no size"),
        (
            note.replacen("\n\n", "\nmore\n\n", 1),
            "more than its three lines",
        ),
        (note.trim_end().to_owned(), "not signed by"),
    ] {
        let error = signer.verifier().open(&note).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn keys_that_are_none_are_refused_and_never_shown() {
    for text in [
        "",
        "PRIVATE+KEY+",
        "PRIVATE+KEY+a b+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        "PRIVATE+KEY+PeterNeumann+c74f20a4+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AoEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
    ] {
        let error = Signer::read(text).unwrap_err().chain();
        assert!(
            !error.contains("AYEK") && !error.contains("AoEK"),
            "{error}"
        );
    }
    let shown = format!("{:?}", Signer::read(GO_PRIVATE).unwrap());
    assert!(!shown.contains("AYEK") && !shown.contains("81"), "{shown}");
    for text in [
        "",
        "a",
        "a+b+c",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX",
    ] {
        assert!(Verifier::read(text).is_err(), "{text}");
    }
}
