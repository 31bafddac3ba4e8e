//! What the derive of dispositions refuses, and where it points.

use syn::parse_quote;

use super::*;

fn refusals(input: &DeriveInput) -> Vec<String> {
    let error = expand(input).unwrap_err();
    error.into_iter().map(|it| it.to_string()).collect()
}

#[test]
fn every_variant_that_says_nothing_is_named() {
    let input = parse_quote! {
        enum Failure { #[disposition(retry)] Busy, BadFile, Lost { by: u8 } }
    };
    let refusals = refusals(&input);
    assert_eq!(refusals.len(), 2);
    assert!(refusals[0].starts_with("say what is to be done about `BadFile`"));
    assert!(refusals[1].starts_with("say what is to be done about `Lost`"));
}

#[test]
fn a_variant_has_one_disposition_and_its_field_exists() {
    let input = parse_quote! { enum Failure { #[disposition(retry, reject)] Busy } };
    assert_eq!(refusals(&input), ["a variant has one disposition"]);
    let input = parse_quote! {
        enum Failure { #[disposition(retry_after = "wait")] Busy { pause: Duration } }
    };
    assert_eq!(refusals(&input), ["is not a field of this variant"]);
    let input = parse_quote! { enum Failure { #[disposition(drop)] Busy } };
    assert!(refusals(&input)[0].starts_with("is not known"));
}

#[test]
fn only_enums_have_dispositions() {
    let input = parse_quote! { struct Failure; };
    assert!(refusals(&input)[0].starts_with("goes on an enum"));
}
