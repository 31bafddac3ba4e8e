//! What the attribute for steps refuses, and where it points.

use proc_macro2::Span;
use quote::quote;

use super::*;

fn refused(item: TokenStream) -> Error {
    let item = syn::parse2(item).unwrap();
    expand(quote! { service = "lab" }, item).unwrap_err()
}

/// The text of a refusal, and what it points at.
fn check(item: &TokenStream, text: &str, at: &str) {
    let source = item.to_string();
    // Parsed from a text, so that spans are places in it.
    let item: TokenStream = source.parse().unwrap();
    let error = refused(item);
    assert_eq!(error.to_string(), text);
    assert_eq!(pointed(&source, error.span()), at, "{source}");
}

fn pointed(source: &str, span: Span) -> String {
    span.source_text().unwrap_or_else(|| source.to_owned())
}

#[test]
fn names_that_no_method_has_are_refused_where_they_are_said() {
    check(
        &quote! { impl A { #[step(compensated_by = lost)] async fn a(&self) -> Result<(), E> { Ok(()) } } },
        "no method `lost` is marked `#[compensation]`",
        "lost",
    );
    check(
        &quote! { impl A { #[step(after = [b, c])] async fn a(&self) -> Result<(), E> { Ok(()) } #[step] async fn b(&self) -> Result<(), E> { Ok(()) } } },
        "no method `c` is marked `#[step]`",
        "c",
    );
    check(
        &quote! { impl A { #[step] async fn a(&self, #[output_of(b)] b: u32) -> Result<(), E> { Ok(()) } } },
        "no method `b` is marked `#[step]`",
        "b",
    );
    check(
        &quote! { impl A { #[step] async fn a(&self) -> Result<(), E> { Ok(()) } #[compensation] async fn b(&self) -> Result<(), E> { Ok(()) } } },
        "no step says `compensated_by = b`",
        "b",
    );
}

#[test]
fn a_method_that_cannot_be_a_step_says_what_it_lacks() {
    check(
        &quote! { impl A { #[step] fn a(&self) -> Result<(), E> { Ok(()) } } },
        "a step is an `async fn`",
        "fn",
    );
    check(
        &quote! { impl A { #[step] async fn a(&mut self) -> Result<(), E> { Ok(()) } } },
        "a step takes `&self`: it may be called many times at once",
        "a",
    );
    check(
        &quote! { impl A { #[step] async fn a(&self) {} } },
        "say what it returns: `Result<T, E>`, where `E` becomes a `StepError`",
        "a",
    );
    check(
        &quote! { impl A { #[step] async fn a(&self, x: u32) -> Result<(), E> { Ok(()) } } },
        "a step takes a `StepContext`, `#[input]`, `#[item]` and `#[output_of(step)]` values, each marked",
        "x : u32",
    );
    check(
        &quote! { impl A { #[step(compensated_by = b)] async fn a(&self) -> Result<(), E> { Ok(()) } #[compensation] async fn b(&self, #[output] x: u32) -> Result<(), E> { Ok(()) } } },
        "an output is an `Option<T>`: whether the step happened may not be known",
        "u32",
    );
    check(
        &quote! { impl A { #[step(compensated_by = b)] async fn a(&self) -> Result<(), E> { Ok(()) } #[compensation] async fn b(&self) -> Result<u32, E> { Ok(1) } } },
        "a compensation returns `Result<(), E>`",
        "u32",
    );
    check(
        &quote! { impl A { async fn a(&self) -> Result<(), E> { Ok(()) } } },
        "no method is a step: write `#[step]` before one",
        "A",
    );
}

#[test]
fn options_that_do_not_exist_or_fit_are_refused() {
    check(
        &quote! { impl A { #[step(timeout = "30")] async fn a(&self) -> Result<(), E> { Ok(()) } } },
        "must be a duration such as `\"500ms\"`, `\"30s\"`, `\"2m\"`, `\"1h\"`, `\"7d\"`",
        "\"30\"",
    );
    let unknown = refused(
        quote! { impl A { #[step(undo = b)] async fn a(&self) -> Result<(), E> { Ok(()) } } },
    );
    assert!(
        unknown
            .to_string()
            .starts_with("is not known; there are `name`")
    );
    let none = refused(
        quote! { impl A { #[step(version = 0)] async fn a(&self) -> Result<(), E> { Ok(()) } } },
    );
    assert!(none.to_string().contains("non-zero"), "{none}");
    let twice = refused(
        quote! { impl A { #[step(retries = 1, retries = 2)] async fn a(&self) -> Result<(), E> { Ok(()) } } },
    );
    assert_eq!(twice.to_string(), "is said twice");
    let item: ItemImpl = syn::parse_quote! { impl T for A {} };
    let error = expand(TokenStream::new(), item).unwrap_err();
    assert!(error.to_string().contains("not of a trait"));
}

#[test]
fn what_fits_no_list_and_no_child_is_refused() {
    check(
        &quote! { impl A { #[step] async fn a(&self, #[item] x: u32) -> Result<(), E> { Ok(()) } } },
        "step `a` is done once and has no item: it says no `for_each`",
        "u32",
    );
    check(
        &quote! { impl A { #[step(compensated_by = b)] async fn a(&self) -> Result<(), E> { Ok(()) } #[compensation] async fn b(&self, #[item] x: u8) -> Result<(), E> { Ok(()) } } },
        "step `a` is done once and has no item: it says no `for_each`",
        "u8",
    );
    check(
        &quote! { impl A { #[step] async fn a(&self) -> Result<(), E> { Ok(()) } #[step(list_of = a)] async fn b(&self) -> Result<(), E> { Ok(()) } } },
        "the step is done once: say `for_each = \"/pointer\"` too",
        "a",
    );
    check(
        &quote! { impl A { #[child] async fn a() -> Result<Definition, E> { x() } } },
        "a child is a `fn` that takes nothing and returns `Result<Definition, InvalidDefinition>`",
        "a",
    );
    check(
        &quote! { impl A { #[child] fn a() -> Definition { x() } } },
        "a child is a `fn` that takes nothing and returns `Result<Definition, InvalidDefinition>`",
        "a",
    );
    let unknown = refused(
        quote! { impl A { #[child(timeout = "1s")] fn a() -> Result<Definition, E> { x() } } },
    );
    let text = unknown.to_string();
    assert!(
        text.starts_with("is not known; there are `name`") && text.contains("`given_of`"),
        "{text}"
    );
    let given = refused(
        quote! { impl A { #[step(given = "/x")] async fn a(&self) -> Result<(), E> { Ok(()) } } },
    );
    assert!(given.to_string().starts_with("is not known"), "{given}");
    let both =
        refused(quote! { impl A { #[child] #[step] fn a() -> Result<Definition, E> { x() } } });
    assert!(both.to_string().contains("one of them"), "{both}");
}
