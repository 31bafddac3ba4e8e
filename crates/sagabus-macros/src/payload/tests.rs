//! What the derive of payloads refuses, and where it points.

use syn::parse_quote;

use super::*;

fn refusal(input: &DeriveInput) -> String {
    expand(input).unwrap_err().to_string()
}

#[test]
fn a_payload_says_its_name_and_its_source() {
    let input = parse_quote! { #[event(source = "s")] struct Created { id: String } };
    assert_eq!(refusal(&input), "say `#[event(name = \"…\")]`");
    let input = parse_quote! { #[event(name = "a.b")] struct Created { id: String } };
    assert_eq!(refusal(&input), "say `#[event(source = \"…\")]`");
}

#[test]
fn a_name_that_no_event_can_have_is_refused_at_compile_time() {
    for name in ["", "a..b", "a b", "a.*", ".a"] {
        let input = parse_quote! { #[event(name = #name, source = "s")] struct Created; };
        assert!(refusal(&input).starts_with("must be words"), "{name}");
    }
    let long = vec!["a"; 17].join(".");
    let input = parse_quote! { #[event(name = #long, source = "s")] struct Created; };
    assert!(refusal(&input).starts_with("has more than 16 words"));
}

#[test]
fn a_subject_that_is_no_field_is_refused() {
    let input = parse_quote! {
        #[event(name = "a.b", source = "s", subject = sample)] struct Created { id: String }
    };
    assert_eq!(refusal(&input), "is not a field of this struct");
}

#[test]
fn options_are_known_and_said_once() {
    let input = parse_quote! { #[event(name = "a.b", name = "a.c", source = "s")] struct Created; };
    assert_eq!(refusal(&input), "is said twice");
    let input = parse_quote! { #[event(nmae = "a.b")] struct Created; };
    assert!(refusal(&input).starts_with("is not known; there are `name`"));
    let input = parse_quote! { #[event(key = id)] struct Created { id: String } };
    assert_eq!(refusal(&input), "the key of an event is its `subject`");
}

#[test]
fn an_attribute_cannot_take_a_name_of_the_envelope_or_of_another_one() {
    let input = parse_quote! {
        #[event(name = "a.b", source = "s")] struct Created { #[event(attr)] priority: String }
    };
    assert!(refusal(&input).starts_with("is a name of the envelope itself"));
    let input = parse_quote! {
        #[event(name = "a.b", source = "s")]
        struct Created { #[event(attr)] one: String, #[event(attr = "one")] two: String }
    };
    assert_eq!(refusal(&input), "names two fields");
}

#[test]
fn only_structs_are_payloads() {
    let input = parse_quote! { #[event(name = "a.b", source = "s")] enum Created { One } };
    assert!(refusal(&input).starts_with("a payload is a struct"));
}
