//! `#[derive(Disposition)]`: which errors of a handler are tried again.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Member, Result, Variant};

use crate::options::unknown;

/// What is to be done about one variant.
enum Choice {
    Retry,
    RetryAfter(LitStr),
    Unavailable,
    Reject,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(
            input.ident.span(),
            "goes on an enum of errors: each variant says what is to be done about it",
        ));
    };
    let mut arms = Vec::new();
    let mut errors: Option<Error> = None;
    for variant in &data.variants {
        match arm(&input.ident, variant) {
            Ok(arm) => arms.push(arm),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }
    let ident = &input.ident;
    let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
    let body = if arms.is_empty() {
        quote! { match error {} }
    } else {
        quote! {
            let (disposition, error_type) = match &error {
                #(#arms)*
            };
            ::sagabus::HandlerError::chained(disposition, error_type, &error)
        }
    };
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::std::convert::From<#ident #ty_generics> for ::sagabus::HandlerError #where_clause {
            fn from(error: #ident #ty_generics) -> Self {
                #body
            }
        }
    })
}

/// One arm of the match over the error.
fn arm(error: &Ident, variant: &Variant) -> Result<TokenStream> {
    let ident = &variant.ident;
    let name = ident.to_string();
    let cfgs = variant.attrs.iter().filter(|it| it.path().is_ident("cfg"));
    let (binding, disposition) = match choice(variant)? {
        Choice::Retry => (
            quote! { .. },
            quote! { ::sagabus::bus::Disposition::Retry { after: ::core::time::Duration::ZERO } },
        ),
        Choice::Unavailable => (
            quote! { .. },
            quote! { ::sagabus::bus::Disposition::Unavailable },
        ),
        Choice::Reject => (
            quote! { .. },
            quote! { ::sagabus::bus::Disposition::Reject },
        ),
        Choice::RetryAfter(field) => {
            let (member, ty) = find(&variant.fields, &field)?;
            let after = quote_spanned! { ty => let after: ::core::time::Duration = *after; };
            (
                quote! { #member: after, .. },
                quote! {{ #after ::sagabus::bus::Disposition::Retry { after } }},
            )
        }
    };
    Ok(quote! {
        #(#cfgs)*
        #error::#ident { #binding } => (#disposition, #name),
    })
}

fn choice(variant: &Variant) -> Result<Choice> {
    let mut choice: Option<Choice> = None;
    for attribute in variant
        .attrs
        .iter()
        .filter(|it| it.path().is_ident("disposition"))
    {
        attribute.parse_nested_meta(|meta| {
            if choice.is_some() {
                return Err(meta.error("a variant has one disposition"));
            }
            let word = meta
                .path
                .get_ident()
                .map(Ident::to_string)
                .unwrap_or_default();
            choice = Some(match word.as_str() {
                "retry" => Choice::Retry,
                "unavailable" => Choice::Unavailable,
                "reject" => Choice::Reject,
                "retry_after" => Choice::RetryAfter(meta.value()?.parse()?),
                _ => {
                    return Err(unknown(
                        &meta,
                        "`retry`, `retry_after = \"field\"`, `unavailable` and `reject`",
                    ));
                }
            });
            Ok(())
        })?;
    }
    choice.ok_or_else(|| {
        let text = format!(
            "say what is to be done about `{}`: `#[disposition(retry)]`, `#[disposition(retry_after = \"field\")]`, `#[disposition(unavailable)]` or `#[disposition(reject)]`",
            variant.ident
        );
        Error::new(variant.ident.span(), text)
    })
}

/// The field of that name or number, and where its type stands.
fn find(fields: &Fields, name: &LitStr) -> Result<(Member, proc_macro2::Span)> {
    let text = name.value();
    fields
        .members()
        .zip(fields)
        .find(|(member, _)| match member {
            Member::Named(ident) => *ident == text,
            Member::Unnamed(index) => index.index.to_string() == text,
        })
        .map(|(member, field)| (member, field.ty.span()))
        .ok_or_else(|| Error::new(name.span(), "is not a field of this variant"))
}

#[cfg(test)]
mod tests;
