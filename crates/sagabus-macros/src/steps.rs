//! `#[saga_steps(…)]`: steps, handlers and schemas made of the methods of an `impl`, by calls to the library and nothing else.

mod method;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, ImplItem, ItemImpl, LitStr, Result, Type};

use self::method::{Argument, Compensation, Role, Step};
use crate::options::{once, unknown};

pub(crate) fn expand(options: TokenStream, mut item: ItemImpl) -> Result<TokenStream> {
    let of_all = OfAll::read(options)?;
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
    let generated = generate(&item.self_ty, &of_all, &steps, &compensations);
    Ok(quote! { #item #generated })
}

/// What `#[saga_steps(…)]` says of all steps.
struct OfAll {
    service: LitStr,
    /// The `Options` of the definition.
    options: Option<Expr>,
}

impl OfAll {
    fn read(said: TokenStream) -> Result<Self> {
        let (mut service, mut options) = (None, None);
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("service") {
                once(&mut service, &meta, || meta.value()?.parse())
            } else if meta.path.is_ident("options") {
                once(&mut options, &meta, || meta.value()?.parse())
            } else {
                Err(unknown(&meta, "`service` and `options`"))
            }
        });
        parser.parse2(said)?;
        let nobody = || LitStr::new("", proc_macro2::Span::call_site());
        Ok(Self {
            service: service.unwrap_or_else(nobody),
            options,
        })
    }
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
        if let Some(item) = item_of(&step.arguments)
            && !step.is_list()
        {
            return Err(done_once(item, &step.name));
        }
    }
    for compensation in compensations {
        let name = &compensation.name;
        if !steps.iter().any(|it| it.takes_back(name)) {
            let text = format!("no step says `compensated_by = {name}`");
            return Err(Error::new(name.span(), text));
        }
        if let Some(item) = item_of(&compensation.arguments) {
            let mut steps = steps.iter().filter(|it| it.takes_back(name));
            if let Some(step) = steps.find(|it| !it.is_list()) {
                return Err(done_once(item, &step.name));
            }
        }
    }
    Ok(())
}

/// The item of a list that a method takes.
fn item_of(arguments: &[Argument]) -> Option<&Type> {
    arguments.iter().find_map(|it| match it {
        Argument::Item(ty) => Some(ty),
        _ => None,
    })
}

fn done_once(item: &Type, step: &Ident) -> Error {
    let text = format!("step `{step}` is done once and has no item: it says no `for_each`");
    Error::new(item.span(), text)
}

fn generate(
    own: &Type,
    of_all: &OfAll,
    steps: &[Step],
    compensations: &[Compensation],
) -> TokenStream {
    let service = &of_all.service;
    let definitions = steps.iter().map(|step| definition(step, service));
    let step_handlers = steps.iter().filter_map(|step| step_handler(step, service));
    let handlers = compensations.iter();
    let compensation_handlers = handlers.flat_map(|it| compensation_handlers(it, steps, service));
    let schemas = steps.iter().filter_map(|step| {
        let (id, output) = (step.id(), step.output_for_others()?);
        let schema = quote! { (#id, ::sagabus::saga::typed::schema_of::<#output>()) };
        Some(schema)
    });
    let schemas: Vec<TokenStream> = schemas.collect();
    let types = steps.iter().flat_map(|step| types(step, steps));
    let count = schemas.len();
    let (list_type, list, made) = of_steps(&definitions.collect::<Vec<_>>(), steps);
    let has_children = steps.iter().any(|step| step.output.is_none());
    // A result must be used as it is.
    let must_use = (!has_children).then(|| quote! { #[must_use] });
    let options = of_all.options.as_ref();
    let options = options.map(|it| quote! { .options(#it) });
    let outputs = compensations.iter().flat_map(|it| outputs(it, steps));
    quote! {
        #(#types)*
        #(#outputs)*

        impl #own {
            /// The steps, in the order of their methods.
            ///
            /// # Errors
            /// Where one is a saga, what is wrong with its definition.
            #must_use
            pub fn steps() -> #list_type {
                #list
            }

            /// The saga of these steps.
            ///
            /// # Errors
            /// As `sagabus::saga::Definition::from_steps`.
            pub fn definition(
                name: impl ::core::convert::Into<::std::string::String>,
            ) -> ::core::result::Result<::sagabus::saga::Definition, ::sagabus::saga::InvalidDefinition> {
                let builder = ::sagabus::saga::Definition::builder(name) #options;
                let steps = ::core::iter::IntoIterator::into_iter(#made);
                ::core::iter::Iterator::fold(steps, builder, |builder, step| builder.step(step)).build()
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

/// What `steps()` returns, what it does, and how it is called: where sagas are steps, they may be none.
fn of_steps(
    definitions: &[TokenStream],
    steps: &[Step],
) -> (TokenStream, TokenStream, TokenStream) {
    let list = quote! { ::std::vec::Vec<::sagabus::saga::Step> };
    let all = quote! { ::std::vec![#(#definitions),*] };
    match steps.iter().any(|step| step.output.is_none()) {
        false => (list, all, quote! { Self::steps() }),
        true => (
            quote! { ::core::result::Result<#list, ::sagabus::saga::InvalidDefinition> },
            quote! { ::core::result::Result::Ok(#all) },
            quote! { Self::steps()? },
        ),
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
    let list = options.list_of.as_ref().map(method::id);
    match (&options.for_each, list) {
        (Some(pointer), None) => calls.extend(quote! { .for_each(#pointer) }),
        (Some(pointer), Some(list)) => calls.extend(quote! { .for_each_of(#list, #pointer) }),
        (None, _) => {}
    }
    if let Some(count) = options.at_a_time {
        let count = number(count);
        calls.extend(quote! { .at_a_time(#count) });
    }
    if step.output.is_none() {
        let name = &step.name;
        calls.extend(quote! { .child(Self::#name()?) });
        let whole = LitStr::new("", name.span());
        let pointer = options.given.as_ref().unwrap_or(&whole);
        match options.given_of.as_ref().map(method::id) {
            None => calls.extend(quote! { .given(#pointer) }),
            Some(of) => calls.extend(quote! { .given_of(#of, #pointer) }),
        }
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

fn step_handler(step: &Step, service: &LitStr) -> Option<TokenStream> {
    // A saga of its own has the handlers of its steps.
    step.output.as_ref()?;
    let (name, id) = (&step.name, step.id());
    let values = step.arguments.iter().map(|it| match it {
        Argument::Context(_) => quote! { ::core::clone::Clone::clone(&context) },
        Argument::Input(ty) => quote! { context.input_as::<#ty>()? },
        Argument::Item(ty) => quote! { context.item_as::<#ty>()? },
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
    Some(versioned(handler, step.options.version))
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
        Argument::Item(ty) => quote! { context.item_as::<#ty>()? },
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
        Argument::Context(_) | Argument::Input(_) | Argument::Item(_) | Argument::Output(_) => None,
    });
    let pairs = arguments.filter_map(|(needed, ty)| {
        let output = steps.iter().find(|it| it.name == *needed)?;
        Some(same(&output.output_for_others()?, ty))
    });
    pairs.collect()
}

/// Refuses to compile where a compensation takes an output as another type than its step has.
fn outputs(compensation: &Compensation, steps: &[Step]) -> Vec<TokenStream> {
    let arguments = compensation.arguments.iter().filter_map(|it| match it {
        Argument::Output(ty) => Some(ty),
        Argument::Context(_) | Argument::Input(_) | Argument::Item(_) | Argument::OutputOf(..) => {
            None
        }
    });
    let of_steps = |ty| {
        let steps = steps.iter().filter(|it| it.takes_back(&compensation.name));
        steps.filter_map(move |step| Some(same(&step.output.as_ref()?.to_token_stream(), ty)))
    };
    arguments.flat_map(of_steps).collect()
}

fn same(output: &TokenStream, taken: &Type) -> TokenStream {
    quote_spanned! { taken.span() => const _: fn(#output) -> #taken = |output| output; }
}

impl Step {
    fn id(&self) -> String {
        method::id(&self.name)
    }

    /// Whether it is done for each item of a list.
    fn is_list(&self) -> bool {
        self.options.for_each.is_some()
    }

    /// Its output as the steps behind it take it: of a list, that of each item, or none where an operator skipped it. None of
    /// them is known of a saga of its own.
    fn output_for_others(&self) -> Option<TokenStream> {
        let output = self.output.as_ref()?;
        Some(match self.is_list() {
            false => output.to_token_stream(),
            true => quote! { ::std::vec::Vec<::core::option::Option<#output>> },
        })
    }

    fn takes_back(&self, compensation: &Ident) -> bool {
        self.options.compensated_by.as_ref() == Some(compensation)
    }

    /// The steps that come before, each once, those whose output it takes first.
    fn needed(&self) -> Vec<&Ident> {
        let outputs = self.arguments.iter().filter_map(|it| match it {
            Argument::OutputOf(step, _) => Some(step),
            Argument::Context(_) | Argument::Input(_) | Argument::Item(_) | Argument::Output(_) => {
                None
            }
        });
        let mut needed: Vec<&Ident> = Vec::new();
        let options = &self.options;
        let sources = options.list_of.iter().chain(&options.given_of);
        for step in outputs.chain(sources).chain(&options.after) {
            if !needed.contains(&step) {
                needed.push(step);
            }
        }
        needed
    }
}

#[cfg(test)]
mod tests;
