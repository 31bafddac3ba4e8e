//! The derives and the attributes of `sagabus`, which re-exports and documents them.
//!
//! Each only writes calls to the library's own interface: what it generates can be written by hand.

mod disposition;
mod options;
mod payload;
mod steps;
mod subscriber;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, ItemImpl, parse_macro_input};

/// Implements `sagabus::Payload` for a struct; see the re-export.
#[proc_macro_derive(Payload, attributes(event))]
pub fn derive_payload(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    payload::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Implements `From` of an error enum for `sagabus::HandlerError`; see the re-export.
#[proc_macro_derive(Disposition, attributes(disposition))]
pub fn derive_disposition(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    disposition::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a subscription of an `async fn`; see the re-export.
#[proc_macro_attribute]
pub fn subscriber(options: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    subscriber::expand(options.into(), &function)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes the steps of a saga of the methods of an `impl`; see the re-export.
#[proc_macro_attribute]
pub fn saga_steps(options: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemImpl);
    steps::expand(options.into(), item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
