//! `#[subscriber(…)]`: a subscription made of an `async fn`, by calls to the builder and nothing else.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{
    Error, Expr, FnArg, GenericArgument, Ident, ItemFn, LitInt, LitStr, PathArguments, Result, Type,
};

use crate::options::{is_named, once, unknown};

const KNOWN: &str = "`name`, `on`, `start`, `order`, `retries`, `concurrency` and `timeout`; the rest is said by `register_with`";

/// What `#[subscriber(…)]` says.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    on: Option<LitStr>,
    start: Option<LitStr>,
    order: Option<LitStr>,
    retries: Option<LitInt>,
    concurrency: Option<LitInt>,
    timeout: Option<Expr>,
}

/// What the function takes, in its order.
enum Argument<'a> {
    Payload(&'a Type),
    Delivery,
    Data(&'a Type),
}

pub(crate) fn expand(options: TokenStream, function: &ItemFn) -> Result<TokenStream> {
    let options = Options::read(options)?;
    check_signature(function)?;
    let arguments = arguments(function)?;
    let state = arguments.iter().find_map(|it| match it {
        Argument::Data(ty) => Some(*ty),
        Argument::Delivery | Argument::Payload(_) => None,
    });
    let name = options.name.as_ref().ok_or_else(|| {
        let text = "say `name = \"…\"`: deliveries are kept under it, over restarts too";
        Error::new(function.sig.ident.span(), text)
    })?;
    let payload = payload(&arguments);
    let steps = options.steps(&function.sig.ident, payload)?;
    let assertion = options.assertion(payload);
    let register = generate(function, &arguments, state, name, &steps);
    Ok(quote! { #assertion #register })
}

fn payload<'a>(arguments: &[Argument<'a>]) -> Option<&'a Type> {
    arguments.iter().find_map(|it| match it {
        Argument::Payload(ty) => Some(*ty),
        Argument::Delivery | Argument::Data(_) => None,
    })
}

fn generate(
    function: &ItemFn,
    arguments: &[Argument<'_>],
    state: Option<&Type>,
    name: &LitStr,
    steps: &TokenStream,
) -> TokenStream {
    let (vis, ident) = (&function.vis, &function.sig.ident);
    let docs = function.attrs.iter().filter(|it| it.path().is_ident("doc"));
    let others = function
        .attrs
        .iter()
        .filter(|it| !it.path().is_ident("doc"));
    let mut sig = function.sig.clone();
    sig.ident = format_ident!("handle");
    let block = &function.block;
    let values = arguments.iter().map(|it| match it {
        Argument::Payload(_) => quote! { payload },
        Argument::Delivery => quote! { delivery },
        Argument::Data(_) => quote! { ::sagabus::bus::Data(state) },
    });
    let (start, taken) = match payload(arguments) {
        Some(ty) => (
            quote! { on_emitting },
            quote! { |payload: #ty, delivery: ::sagabus::Delivery| },
        ),
        None => (
            quote! { handler_emitting },
            quote! { |delivery: ::sagabus::Delivery| },
        ),
    };
    let parameter = state.map(|ty| quote! { state: #ty, });
    let value = state.map(|_| quote! { state, });
    let clone = state.map(|_| quote! { let state = ::core::clone::Clone::clone(&state); });
    quote! {
        // With braces it takes no name from variables.
        #(#docs)*
        #[derive(Clone, Copy, Debug)]
        #[allow(non_camel_case_types)]
        #vis struct #ident {}

        #[allow(dead_code)]
        impl #ident {
            /// Name of the subscription.
            #vis const NAME: &'static str = #name;

            /// The handler, to call in a test.
            #(#others)*
            #vis #sig #block

            /// Starts the subscription.
            ///
            /// # Errors
            /// As `sagabus::bus::SubscriptionBuilder::handler`.
            #vis async fn register(
                bus: &::sagabus::Bus,
                #parameter
            ) -> ::sagabus::Result<::sagabus::bus::Subscription> {
                Self::register_with(bus, #value |builder| builder).await
            }

            /// Starts the subscription after `more` was said of it.
            ///
            /// # Errors
            /// As `sagabus::bus::SubscriptionBuilder::handler`.
            #vis async fn register_with(
                bus: &::sagabus::Bus,
                #parameter
                more: impl ::core::ops::FnOnce(::sagabus::bus::SubscriptionBuilder) -> ::sagabus::bus::SubscriptionBuilder,
            ) -> ::sagabus::Result<::sagabus::bus::Subscription> {
                let builder = bus.subscription(Self::NAME) #steps;
                more(builder)
                    .#start(move #taken {
                        let _ = &delivery;
                        #clone
                        async move {
                            match Self::handle(#(#values),*).await {
                                ::core::result::Result::Ok(emit) => {
                                    ::core::result::Result::Ok(::core::convert::Into::<::sagabus::bus::Emit>::into(emit))
                                }
                                ::core::result::Result::Err(error) => {
                                    ::core::result::Result::Err(::core::convert::Into::<::sagabus::HandlerError>::into(error))
                                }
                            }
                        }
                    })
                    .await
            }
        }
    }
}

impl Options {
    fn read(tokens: TokenStream) -> Result<Self> {
        let mut options = Self::default();
        let parser = syn::meta::parser(|meta| options.take(&meta));
        parser.parse2(tokens)?;
        Ok(options)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let word = meta
            .path
            .get_ident()
            .map(Ident::to_string)
            .unwrap_or_default();
        match word.as_str() {
            "name" => once(&mut self.name, meta, || meta.value()?.parse()),
            "on" => once(&mut self.on, meta, || meta.value()?.parse()),
            "start" => once(&mut self.start, meta, || meta.value()?.parse()),
            "order" => once(&mut self.order, meta, || meta.value()?.parse()),
            "retries" => once(&mut self.retries, meta, || meta.value()?.parse()),
            "concurrency" => once(&mut self.concurrency, meta, || meta.value()?.parse()),
            "timeout" => once(&mut self.timeout, meta, || meta.value()?.parse()),
            _ => Err(unknown(meta, KNOWN)),
        }
    }

    /// Refuses to compile where `on` is not the type of the payload.
    fn assertion(&self, payload: Option<&Type>) -> Option<TokenStream> {
        let (ty, on) = (payload?, self.on.as_ref()?);
        Some(quote! {
            const _: () = ::core::assert!(
                ::sagabus::event::is_same(<#ty as ::sagabus::Payload>::TYPE, #on),
                "`on` is not the type of the event that the function takes"
            );
        })
    }

    /// The calls to the builder.
    fn steps(&self, function: &Ident, payload: Option<&Type>) -> Result<TokenStream> {
        let mut steps = match (payload, &self.on) {
            (None, Some(on)) => quote! { .pattern(#on) },
            (None, None) => {
                let text = "say `on = \"…\"`, or take the payload as its type";
                return Err(Error::new(function.span(), text));
            }
            // The builder says it itself where it reads the payload.
            (Some(_), _) => TokenStream::new(),
        };
        let Some(start) = &self.start else {
            let text =
                "say `start = \"earliest\"` or `start = \"latest\"`: a decision about the past";
            return Err(Error::new(function.span(), text));
        };
        let start = variant(start, &[("earliest", "Earliest"), ("latest", "Latest")])?;
        steps.extend(quote! { .start(::sagabus::Start::#start) });
        if let Some(order) = &self.order {
            let words = [
                ("unordered", "Unordered"),
                ("per_key", "PerKey"),
                ("strict", "Strict"),
            ];
            let order = variant(order, &words)?;
            steps.extend(quote! { .order(::sagabus::ledger::Order::#order) });
        }
        if let Some(retries) = &self.retries {
            let retries: u32 = retries.base10_parse()?;
            steps.extend(quote! {
                .retry(::sagabus::Retry {
                    attempts_max: ::core::primitive::u32::saturating_add(#retries, 1),
                    ..bus.settings().retry()
                })
            });
        }
        if let Some(concurrency) = &self.concurrency {
            let concurrency: usize = concurrency.base10_parse()?;
            steps.extend(quote! { .concurrency(#concurrency) });
        }
        if let Some(timeout) = &self.timeout {
            steps.extend(quote! { .timeout(#timeout) });
        }
        Ok(steps)
    }
}

/// The variant that a word stands for.
fn variant(word: &LitStr, words: &[(&str, &str)]) -> Result<Ident> {
    let text = word.value();
    if let Some((_, name)) = words.iter().find(|(known, _)| *known == text) {
        return Ok(Ident::new(name, word.span()));
    }
    let known: Vec<String> = words
        .iter()
        .map(|(known, _)| format!("`{known}`"))
        .collect();
    let text = format!("must be one of {}", known.join(", "));
    Err(Error::new(word.span(), text))
}

fn check_signature(function: &ItemFn) -> Result<()> {
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        return Err(Error::new(
            sig.fn_token.span(),
            "a handler is an `async fn`",
        ));
    }
    if !sig.generics.params.is_empty() {
        let text = "a handler has no type parameters: a subscription is one thing";
        return Err(Error::new(sig.generics.span(), text));
    }
    if matches!(sig.output, syn::ReturnType::Default) {
        let text = "a handler returns `Result<(), E>` or `Result<Emit, E>`";
        return Err(Error::new(sig.ident.span(), text));
    }
    Ok(())
}

fn arguments(function: &ItemFn) -> Result<Vec<Argument<'_>>> {
    let mut arguments: Vec<Argument<'_>> = Vec::new();
    for input in &function.sig.inputs {
        let FnArg::Typed(input) = input else {
            return Err(Error::new(input.span(), "a handler has no `self`"));
        };
        let argument = argument(&input.ty)?;
        let kind = std::mem::discriminant(&argument);
        if arguments
            .iter()
            .any(|it| std::mem::discriminant(it) == kind)
        {
            let text = "a handler takes one payload, one `Delivery` and one `Data` at most";
            return Err(Error::new(input.ty.to_token_stream().span(), text));
        }
        arguments.push(argument);
    }
    Ok(arguments)
}

fn argument(ty: &Type) -> Result<Argument<'_>> {
    if is_named(ty, "Delivery") {
        return Ok(Argument::Delivery);
    }
    if !is_named(ty, "Data") {
        return Ok(Argument::Payload(ty));
    }
    if let Type::Path(path) = ty
        && let Some(last) = path.path.segments.last()
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(state)) = arguments.args.first()
    {
        return Ok(Argument::Data(state));
    }
    Err(Error::new(ty.span(), "say what it holds: `Data<State>`"))
}

#[cfg(test)]
mod tests;
