//! `#[derive(Payload)]`: what a type of event says about itself, from its attributes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Expr, Field, Fields, Ident, LitStr, Result};

use crate::options::{is_named, once, unknown};

/// Longest event type, in bytes; as `sagabus::EventType` has it.
const TYPE_BYTES_MAX: usize = 255;
/// Most words in an event type; as `sagabus::EventType` has it.
const WORDS_MAX: usize = 16;
/// Names that the envelope has itself, in its own form or as a CloudEvent.
const TAKEN: [&str; 18] = [
    "causationid",
    "correlationid",
    "data",
    "data_base64",
    "datacontenttype",
    "dataschema",
    "expirytime",
    "id",
    "idempotencykey",
    "metadata",
    "priority",
    "schemaversion",
    "source",
    "specversion",
    "subject",
    "time",
    "timestamp",
    "type",
];

/// What `#[event(…)]` on the struct says.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    source: Option<Expr>,
    version: Option<LitStr>,
    subject: Option<Ident>,
    check: Option<Expr>,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(
            input.ident.span(),
            "a payload is a struct: one type of event, one set of fields",
        ));
    };
    let options = Options::read(input)?;
    let missing = |what| {
        let text = format!("say `#[event({what} = \"…\")]`");
        Error::new(input.ident.span(), text)
    };
    let name = options.name.as_ref().ok_or_else(|| missing("name"))?;
    check_name(name)?;
    let source = options.source.as_ref().ok_or_else(|| missing("source"))?;
    let version = options
        .version
        .as_ref()
        .map(|it| quote! { const VERSION: &'static str = #it; });
    let subject = options
        .subject
        .as_ref()
        .map(|it| subject(it, &data.fields))
        .transpose()?;
    let check = options.check.as_ref().map(|it| {
        quote! {
            fn check(&self) -> ::sagabus::Result<()> {
                (#it)(self)
            }
        }
    });
    let attributes = attributes(&data.fields)?;
    let ident = &input.ident;
    let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::sagabus::Payload for #ident #ty_generics #where_clause {
            const TYPE: &'static str = #name;
            const SOURCE: &'static str = #source;
            #version
            #subject
            #attributes
            #check
        }
    })
}

impl Options {
    fn read(input: &DeriveInput) -> Result<Self> {
        let mut options = Self::default();
        for attribute in input.attrs.iter().filter(|it| it.path().is_ident("event")) {
            attribute.parse_nested_meta(|meta| {
                let word = meta
                    .path
                    .get_ident()
                    .map(Ident::to_string)
                    .unwrap_or_default();
                match word.as_str() {
                    "name" => once(&mut options.name, &meta, || meta.value()?.parse()),
                    "source" => once(&mut options.source, &meta, || meta.value()?.parse()),
                    "version" => once(&mut options.version, &meta, || meta.value()?.parse()),
                    "subject" => once(&mut options.subject, &meta, || meta.value()?.parse()),
                    "check" => once(&mut options.check, &meta, || meta.value()?.parse()),
                    "key" => Err(meta.error("the key of an event is its `subject`")),
                    "attr" => Err(meta.error("`attr` stands on a field")),
                    _ => Err(unknown(
                        &meta,
                        "`name`, `source`, `version`, `subject` and `check`",
                    )),
                }
            })?;
        }
        Ok(options)
    }
}

/// The rules of `sagabus::EventType`, which would refuse the name when the first event is made.
fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-')
    };
    if text.len() > TYPE_BYTES_MAX || text.split('.').count() > WORDS_MAX {
        let rule = format!("has more than {WORDS_MAX} words or {TYPE_BYTES_MAX} bytes");
        return Err(Error::new(name.span(), rule));
    }
    if !text.split('.').all(is_word) {
        return Err(Error::new(
            name.span(),
            "must be words of letters, digits, `_`, `-`, joined by dots, such as `sample.created`",
        ));
    }
    Ok(())
}

fn subject(name: &Ident, fields: &Fields) -> Result<TokenStream> {
    let field = fields
        .iter()
        .find(|it| it.ident.as_ref() == Some(name))
        .ok_or_else(|| Error::new(name.span(), "is not a field of this struct"))?;
    let value = if is_named(&field.ty, "Option") {
        quote! { self.#name.as_ref().map(::std::string::ToString::to_string) }
    } else {
        quote! { ::std::option::Option::Some(::std::string::ToString::to_string(&self.#name)) }
    };
    Ok(quote! {
        fn subject(&self) -> ::std::option::Option<::std::string::String> {
            #value
        }
    })
}

fn attributes(fields: &Fields) -> Result<Option<TokenStream>> {
    let mut names: Vec<String> = Vec::new();
    let mut pushes = Vec::new();
    for field in fields {
        let Some(name) = attribute_name(field)? else {
            continue;
        };
        let text = name.value();
        if TAKEN.contains(&text.as_str()) {
            let text = "is a name of the envelope itself; say `#[event(attr = \"another_name\")]`";
            return Err(Error::new(name.span(), text));
        }
        if names.contains(&text) {
            return Err(Error::new(name.span(), "names two fields"));
        }
        names.push(text);
        let Some(ident) = &field.ident else {
            return Err(Error::new(field.span(), "an attribute is a named field"));
        };
        pushes.push(if is_named(&field.ty, "Option") {
            quote! {
                if let ::std::option::Option::Some(value) = &self.#ident {
                    attributes.push((#name, ::std::string::ToString::to_string(value)));
                }
            }
        } else {
            quote! { attributes.push((#name, ::std::string::ToString::to_string(&self.#ident))); }
        });
    }
    if pushes.is_empty() {
        return Ok(None);
    }
    Ok(Some(quote! {
        fn attributes(&self) -> ::std::vec::Vec<(&'static str, ::std::string::String)> {
            let mut attributes = ::std::vec::Vec::new();
            #(#pushes)*
            attributes
        }
    }))
}

/// Under which name a field is an attribute, if it is one.
fn attribute_name(field: &Field) -> Result<Option<LitStr>> {
    let mut name = None;
    for attribute in field.attrs.iter().filter(|it| it.path().is_ident("event")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("attr") {
                return Err(unknown(&meta, "`attr` and `attr = \"name\"`"));
            }
            let own = field.ident.as_ref();
            once(&mut name, &meta, || {
                if meta.input.peek(syn::Token![=]) {
                    return meta.value()?.parse();
                }
                let ident = own.ok_or_else(|| meta.error("an attribute is a named field"))?;
                let text = ident.to_string();
                Ok(LitStr::new(text.trim_start_matches("r#"), ident.span()))
            })
        })?;
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
