//! `#[saga_steps(…)]`: steps, handlers and schemas made of the methods of an `impl`, by calls to the library and nothing else.

mod method;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, Ident, ImplItem, ItemImpl, LitStr, Result, Type};

use self::method::{Argument, Compensation, Role, Step};
use crate::options::{once, unknown};

pub(crate) fn expand(options: TokenStream, mut item: ItemImpl) -> Result<TokenStream> {
    let service = service(options)?;
    if let Some((path, _)) = &item.trait_ {
        let text = "steps are methods of the type itself, not of a trait";
        return Err(Error::new(path.span(), text));
    }
    if !item.generics.params.is_empty() {
        let text = "steps are those of one type, without parameters";
        return Err(Error::new(item.generics.span(), text));
    }
    let (mut steps, mut compensations) = (Vec::new(), Vec::new());
    for member in &mut item.items {
        let ImplItem::Fn(method) = member else {
            continue;
        };
        match method::read(method)? {
            Some(Role::Step(step)) => steps.push(*step),
            Some(Role::Compensation(compensation)) => compensations.push(compensation),
            None => {}
        }
    }
    if steps.is_empty() {
        let text = "no method is a step: write `#[step]` before one";
        return Err(Error::new(item.self_ty.span(), text));
    }
    check_names(&steps, &compensations)?;
    let generated = generate(&item.self_ty, &service, &steps, &compensations);
    Ok(quote! { #item #generated })
}

fn service(options: TokenStream) -> Result<LitStr> {
    let mut service = None;
    let parser = syn::meta::parser(|meta| match meta.path.is_ident("service") {
        true => once(&mut service, &meta, || meta.value()?.parse()),
        false => Err(unknown(&meta, "`service`")),
    });
    parser.parse2(options)?;
    Ok(service.unwrap_or_else(|| LitStr::new("", proc_macro2::Span::call_site())))
}

/// Every name that one method says of another is there.
fn check_names(steps: &[Step], compensations: &[Compensation]) -> Result<()> {
    for step in steps {
        if let Some(name) = &step.options.compensated_by
            && !compensations.iter().any(|it| it.name == *name)
        {
            let text = format!("no method `{name}` is marked `#[compensation]`");
            return Err(Error::new(name.span(), text));
        }
        for needed in step.needed() {
            if !steps.iter().any(|it| it.name == *needed) {
                let text = format!("no method `{needed}` is marked `#[step]`");
                return Err(Error::new(needed.span(), text));
            }
        }
    }
    for compensation in compensations {
        let name = &compensation.name;
        if !steps.iter().any(|it| it.takes_back(name)) {
            let text = format!("no step says `compensated_by = {name}`");
            return Err(Error::new(name.span(), text));
        }
    }
    Ok(())
}

fn generate(
    own: &Type,
    service: &LitStr,
    steps: &[Step],
    compensations: &[Compensation],
) -> TokenStream {
    let definitions = steps.iter().map(|step| definition(step, service));
    let step_handlers = steps.iter().map(|step| step_handler(step, service));
    let handlers = compensations.iter();
    let compensation_handlers = handlers.flat_map(|it| compensation_handlers(it, steps, service));
    let schemas = steps.iter().map(|step| {
        let (id, output) = (step.id(), &step.output);
        quote_spanned! { output.span() => (#id, ::sagabus::saga::typed::schema_of::<#output>()) }
    });
    let types = steps.iter().flat_map(|step| types(step, steps));
    let count = steps.len();
    let outputs = compensations.iter().flat_map(|it| outputs(it, steps));
    quote! {
        #(#types)*
        #(#outputs)*

        impl #own {
            /// The steps, in the order of their methods.
            #[must_use]
            pub fn steps() -> ::std::vec::Vec<::sagabus::saga::Step> {
                ::std::vec![#(#definitions),*]
            }

            /// The saga of these steps.
            ///
            /// # Errors
            /// As `sagabus::saga::Definition::from_steps`.
            pub fn definition(
                name: impl ::core::convert::Into<::std::string::String>,
            ) -> ::core::result::Result<::sagabus::saga::Definition, ::sagabus::saga::InvalidDefinition> {
                ::sagabus::saga::Definition::from_steps(name, Self::steps())
            }

            /// What does the steps, and what takes them back.
            #[must_use]
            pub fn handlers(self: ::std::sync::Arc<Self>) -> ::sagabus::saga::Handlers {
                ::sagabus::saga::Handlers::new() #(#step_handlers)* #(#compensation_handlers)*
            }

            /// JSON Schema of what each step returns, by the step's id.
            #[must_use]
            pub fn schemas() -> [(&'static str, ::sagabus::saga::typed::Schema); #count] {
                [#(#schemas),*]
            }
        }
    }
}

/// The step as the definition has it.
fn definition(step: &Step, service: &LitStr) -> TokenStream {
    let id = step.id();
    let mut calls = quote! { .service(#service) };
    let options = &step.options;
    if let Some(name) = &options.name {
        calls.extend(quote! { .name(#name) });
    }
    if let Some(compensation) = &options.compensated_by {
        let action = method::id(compensation);
        calls.extend(quote! { .compensated_by(#action) });
    }
    if let Some(version) = options.version {
        let version = number(version);
        calls.extend(quote! { .version(#version) });
    }
    if let Some(ms) = options.timeout_ms {
        calls.extend(quote! { .timeout(::core::time::Duration::from_millis(#ms)) });
    }
    if let Some(retries) = options.retries {
        calls.extend(quote! { .retries(#retries) });
    }
    if let Some(ms) = options.retry_delay_ms {
        calls.extend(quote! { .retry_delay(::core::time::Duration::from_millis(#ms)) });
    }
    for needed in step.needed() {
        let id = method::id(needed);
        calls.extend(quote! { .after(#id) });
    }
    quote! { ::sagabus::saga::Step::new(#id) #calls }
}

/// A number that is not 0.
fn number(value: NonZeroU32) -> TokenStream {
    let more = value.get() - 1;
    quote! { ::core::num::NonZeroU32::MIN.saturating_add(#more) }
}

/// A call that adds a handler, which is of a version if there is one.
fn versioned(handler: TokenStream, version: Option<NonZeroU32>) -> TokenStream {
    match version.map(number) {
        None => handler,
        Some(version) => quote! {
            .and(::sagabus::saga::Handlers::new() #handler .of_version(#version))
        },
    }
}

fn step_handler(step: &Step, service: &LitStr) -> TokenStream {
    let (name, id) = (&step.name, step.id());
    let values = step.arguments.iter().map(|it| match it {
        Argument::Context(_) => quote! { ::core::clone::Clone::clone(&context) },
        Argument::Input(ty) => quote! { context.input_as::<#ty>()? },
        Argument::OutputOf(needed, ty) => {
            let id = method::id(needed);
            quote! { context.output_as::<#ty>(#id)? }
        }
        // It is refused before this.
        Argument::Output(ty) => quote! { context.step_output_as::<#ty>()? },
    });
    let handler = quote! {
        .handle(#service, #id, {
            let own = ::std::sync::Arc::clone(&self);
            move |context: ::sagabus::saga::StepContext| {
                let own = ::std::sync::Arc::clone(&own);
                async move {
                    match Self::#name(&own, #(#values),*).await {
                        ::core::result::Result::Ok(output) => ::sagabus::saga::Output::json(&output),
                        ::core::result::Result::Err(error) => ::core::result::Result::Err(
                            ::core::convert::Into::<::sagabus::saga::StepError>::into(error),
                        ),
                    }
                }
            }
        })
    };
    versioned(handler, step.options.version)
}

/// One for each version of the steps that it takes back.
fn compensation_handlers(
    compensation: &Compensation,
    steps: &[Step],
    service: &LitStr,
) -> Vec<TokenStream> {
    let steps = steps.iter().filter(|it| it.takes_back(&compensation.name));
    let versions: BTreeSet<_> = steps.map(|step| step.options.version).collect();
    let handler = compensation_handler(compensation, service);
    let versions = versions.into_iter();
    versions
        .map(|version| versioned(handler.clone(), version))
        .collect()
}

fn compensation_handler(compensation: &Compensation, service: &LitStr) -> TokenStream {
    let (name, id) = (&compensation.name, method::id(&compensation.name));
    let values = compensation.arguments.iter().map(|it| match it {
        Argument::Context(_) => quote! { ::core::clone::Clone::clone(&context) },
        Argument::Input(ty) => quote! { context.input_as::<#ty>()? },
        Argument::Output(ty) => quote! { context.step_output_as::<#ty>()? },
        // It is refused before this.
        Argument::OutputOf(_, ty) => quote! { context.step_output_as::<#ty>()? },
    });
    quote! {
        .compensate(#service, #id, {
            let own = ::std::sync::Arc::clone(&self);
            move |context: ::sagabus::saga::CompensationContext| {
                let own = ::std::sync::Arc::clone(&own);
                async move {
                    match Self::#name(&own, #(#values),*).await {
                        ::core::result::Result::Ok(()) => ::core::result::Result::Ok(()),
                        ::core::result::Result::Err(error) => ::core::result::Result::Err(
                            ::core::convert::Into::<::sagabus::saga::StepError>::into(error),
                        ),
                    }
                }
            }
        })
    }
}

/// Refuses to compile where a step takes an output as another type than it has.
fn types(step: &Step, steps: &[Step]) -> Vec<TokenStream> {
    let arguments = step.arguments.iter().filter_map(|it| match it {
        Argument::OutputOf(needed, ty) => Some((needed, ty)),
        Argument::Context(_) | Argument::Input(_) | Argument::Output(_) => None,
    });
    let pairs = arguments.filter_map(|(needed, ty)| {
        let output = &steps.iter().find(|it| it.name == *needed)?.output;
        Some(same(output, ty))
    });
    pairs.collect()
}

/// Refuses to compile where a compensation takes an output as another type than its step has.
fn outputs(compensation: &Compensation, steps: &[Step]) -> Vec<TokenStream> {
    let arguments = compensation.arguments.iter().filter_map(|it| match it {
        Argument::Output(ty) => Some(ty),
        Argument::Context(_) | Argument::Input(_) | Argument::OutputOf(..) => None,
    });
    let of_steps = |ty| {
        let steps = steps.iter().filter(|it| it.takes_back(&compensation.name));
        steps.map(move |step| same(&step.output, ty))
    };
    arguments.flat_map(of_steps).collect()
}

fn same(output: &Type, taken: &Type) -> TokenStream {
    quote_spanned! { taken.span() => const _: fn(#output) -> #taken = |output| output; }
}

impl Step {
    fn id(&self) -> String {
        method::id(&self.name)
    }

    fn takes_back(&self, compensation: &Ident) -> bool {
        self.options.compensated_by.as_ref() == Some(compensation)
    }

    /// The steps that come before, each once, those whose output it takes first.
    fn needed(&self) -> Vec<&Ident> {
        let outputs = self.arguments.iter().filter_map(|it| match it {
            Argument::OutputOf(step, _) => Some(step),
            Argument::Context(_) | Argument::Input(_) | Argument::Output(_) => None,
        });
        let mut needed: Vec<&Ident> = Vec::new();
        for step in outputs.chain(&self.options.after) {
            if !needed.contains(&step) {
                needed.push(step);
            }
        }
        needed
    }
}

#[cfg(test)]
mod tests;
