//! What the attribute for subscriptions refuses, and where it points.

use quote::quote;
use syn::parse_quote;

use super::*;

fn refusal(options: TokenStream, function: &ItemFn) -> String {
    expand(options, function).unwrap_err().to_string()
}

fn handler() -> ItemFn {
    parse_quote! { async fn extract(payload: PdfUploaded) -> Result<(), HandlerError> { Ok(()) } }
}

#[test]
fn name_and_start_have_no_default() {
    let options = quote! { start = "latest" };
    assert!(refusal(options, &handler()).starts_with("say `name"));
    let options = quote! { name = "s" };
    assert!(refusal(options, &handler()).starts_with("say `start"));
}

#[test]
fn words_that_do_not_exist_are_refused_with_those_that_do() {
    let options = quote! { name = "s", start = "first" };
    assert_eq!(
        refusal(options, &handler()),
        "must be one of `earliest`, `latest`"
    );
    let options = quote! { name = "s", group = "g" };
    assert!(refusal(options, &handler()).starts_with("is not known; there are `name`"));
}

#[test]
fn a_handler_without_a_payload_says_what_it_wants() {
    let function =
        parse_quote! { async fn all(delivery: Delivery) -> Result<(), HandlerError> { Ok(()) } };
    let options = quote! { name = "s", start = "latest" };
    assert!(refusal(options, &function).starts_with("say `on"));
}

#[test]
fn a_function_that_cannot_be_a_handler_is_refused() {
    let options = || quote! { name = "s", start = "latest", on = "a.b" };
    let function =
        parse_quote! { fn all(delivery: Delivery) -> Result<(), HandlerError> { Ok(()) } };
    assert_eq!(refusal(options(), &function), "a handler is an `async fn`");
    let function = parse_quote! { async fn all(delivery: Delivery) {} };
    assert!(refusal(options(), &function).starts_with("a handler returns"));
    let function = parse_quote! { async fn all(a: A, b: B) -> Result<(), HandlerError> { Ok(()) } };
    assert!(refusal(options(), &function).starts_with("a handler takes one payload"));
    let function = parse_quote! { async fn all<T>(a: T) -> Result<(), HandlerError> { Ok(()) } };
    assert!(refusal(options(), &function).starts_with("a handler has no type parameters"));
    let function = parse_quote! { async fn all(a: Data) -> Result<(), HandlerError> { Ok(()) } };
    assert!(refusal(options(), &function).starts_with("say what it holds"));
}
