//! What one method says: whether it is a step or a compensation, with which options, and what it takes.

use std::num::NonZeroU32;

use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ImplItemFn, LitInt, LitStr, Meta, PatType,
    PathArguments, Result, ReturnType, Token, Type, bracketed,
};

use crate::options::{is_named, once, unknown};

const KNOWN: &str = "`name`, `compensated_by`, `version`, `timeout`, `retries`, `retry_delay`, `after`, `for_each`, `list_of` and `at_a_time`";
const KNOWN_OF_CHILD: &str = "`name`, `compensated_by`, `version`, `after`, `for_each`, `list_of`, `at_a_time`, `given` and `given_of`";
const STEP_TAKES: &str = "a step takes a `StepContext`, `#[input]`, `#[item]` and `#[output_of(step)]` values, each marked";
const COMPENSATION_TAKES: &str = "a compensation takes a `CompensationContext`, an `#[input]` and an `#[item]` value and an `#[output] Option<T>`, each marked";
const CHILD_IS: &str =
    "a child is a `fn` that takes nothing and returns `Result<Definition, InvalidDefinition>`";

/// What a method is.
pub(super) enum Role {
    Step(Box<Step>),
    Compensation(Compensation),
}

/// A method that is a step.
pub(super) struct Step {
    pub(super) name: Ident,
    pub(super) options: Options,
    pub(super) arguments: Vec<Argument>,
    /// What it returns where all went well. None: it is a saga of its own.
    pub(super) output: Option<Type>,
}

/// A method that takes a step back.
pub(super) struct Compensation {
    pub(super) name: Ident,
    pub(super) arguments: Vec<Argument>,
}

/// What `#[step(…)]` or `#[child(…)]` says.
#[derive(Default)]
pub(super) struct Options {
    pub(super) name: Option<LitStr>,
    pub(super) compensated_by: Option<Ident>,
    pub(super) version: Option<NonZeroU32>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) retries: Option<u32>,
    pub(super) retry_delay_ms: Option<u64>,
    pub(super) after: Vec<Ident>,
    pub(super) for_each: Option<LitStr>,
    pub(super) list_of: Option<Ident>,
    pub(super) at_a_time: Option<NonZeroU32>,
    pub(super) given: Option<LitStr>,
    pub(super) given_of: Option<Ident>,
}

/// What a method takes, in its order.
pub(super) enum Argument {
    Context(Type),
    Input(Type),
    /// The item of a list that the step is done for.
    Item(Type),
    /// The output of a step that comes before.
    OutputOf(Ident, Type),
    /// The output of the step that is taken back, without its `Option`.
    Output(Type),
}

/// The id or action that a method stands for.
pub(super) fn id(name: &Ident) -> String {
    name.unraw().to_string()
}

/// Reads a method and takes away what is only for this macro.
pub(super) fn read(method: &mut ImplItemFn) -> Result<Option<Role>> {
    let step = take(&mut method.attrs, "step")?;
    let compensation = take(&mut method.attrs, "compensation")?;
    if let Some(attribute) = take(&mut method.attrs, "child")? {
        if step.is_some() || compensation.is_some() {
            let text = "a method is a step, a compensation or a child, and one of them";
            return Err(Error::new(attribute.span(), text));
        }
        return child(method, &attribute);
    }
    match (step, compensation) {
        (Some(_), Some(attribute)) => Err(Error::new(
            attribute.span(),
            "a method is a step or a compensation, not both",
        )),
        (None, None) => Ok(None),
        (Some(attribute), None) => {
            let options = Options::read(&attribute, false)?;
            check_signature(method, "a step")?;
            let arguments = arguments(method)?;
            let known = |it: &Argument| match it {
                Argument::Context(ty) => is_named(ty, "StepContext"),
                Argument::Input(_) | Argument::Item(_) | Argument::OutputOf(..) => true,
                Argument::Output(_) => false,
            };
            check(method, &arguments, known, STEP_TAKES)?;
            Ok(Some(Role::Step(Box::new(Step {
                name: method.sig.ident.clone(),
                options,
                output: Some(output(method)?),
                arguments,
            }))))
        }
        (None, Some(attribute)) => {
            if let Meta::List(list) = &attribute.meta {
                let text = "a compensation has no options: its step says all of them";
                return Err(Error::new(list.tokens.span(), text));
            }
            check_signature(method, "a compensation")?;
            let arguments = arguments(method)?;
            let known = |it: &Argument| match it {
                Argument::Context(ty) => is_named(ty, "CompensationContext"),
                Argument::Input(_) | Argument::Item(_) | Argument::Output(_) => true,
                Argument::OutputOf(..) => false,
            };
            check(method, &arguments, known, COMPENSATION_TAKES)?;
            let output = output(method)?;
            if !matches!(&output, Type::Tuple(tuple) if tuple.elems.is_empty()) {
                let text = "a compensation returns `Result<(), E>`";
                return Err(Error::new(output.span(), text));
            }
            Ok(Some(Role::Compensation(Compensation {
                name: method.sig.ident.clone(),
                arguments,
            })))
        }
    }
}

/// A method that gives the definition of a saga, which is a step.
fn child(method: &ImplItemFn, attribute: &Attribute) -> Result<Option<Role>> {
    let sig = &method.sig;
    let returned = match &sig.output {
        ReturnType::Type(_, ty) => first_of(ty, Some("Result")),
        ReturnType::Default => None,
    };
    let is_definition = returned.is_some_and(|ty| is_named(&ty, "Definition"));
    let is_plain = sig.asyncness.is_none() && sig.generics.params.is_empty();
    if !is_definition || !is_plain || !sig.inputs.is_empty() {
        return Err(Error::new(sig.ident.span(), CHILD_IS));
    }
    Ok(Some(Role::Step(Box::new(Step {
        name: sig.ident.clone(),
        options: Options::read(attribute, true)?,
        arguments: Vec::new(),
        output: None,
    }))))
}

/// Takes the attribute `name` away.
fn take(attributes: &mut Vec<Attribute>, name: &str) -> Result<Option<Attribute>> {
    let mut found = None;
    let mut kept = Vec::new();
    for attribute in std::mem::take(attributes) {
        if !attribute.path().is_ident(name) {
            kept.push(attribute);
        } else if found.is_some() {
            let text = format!("`{name}` is said twice");
            return Err(Error::new(attribute.span(), text));
        } else {
            found = Some(attribute);
        }
    }
    *attributes = kept;
    Ok(found)
}

fn check_signature(method: &ImplItemFn, what: &str) -> Result<()> {
    let sig = &method.sig;
    if sig.asyncness.is_none() {
        let text = format!("{what} is an `async fn`");
        return Err(Error::new(sig.fn_token.span(), text));
    }
    if !sig.generics.params.is_empty() {
        let text = format!("{what} has no type parameters");
        return Err(Error::new(sig.generics.span(), text));
    }
    let by_reference =
        |it: &syn::Receiver| matches!(it.kind, syn::ReceiverKind::Reference(_, _, None));
    if !sig.receiver().is_some_and(by_reference) {
        let text = format!("{what} takes `&self`: it may be called many times at once");
        return Err(Error::new(sig.ident.span(), text));
    }
    Ok(())
}

/// What the method takes behind `&self`.
fn arguments(method: &mut ImplItemFn) -> Result<Vec<Argument>> {
    let inputs = method.sig.inputs.iter_mut();
    let typed = inputs.filter_map(|it| match it {
        FnArg::Typed(input) => Some(input),
        FnArg::Receiver(_) => None,
    });
    typed.map(argument).collect()
}

fn argument(input: &mut PatType) -> Result<Argument> {
    let is_input = take(&mut input.attrs, "input")?;
    let is_item = take(&mut input.attrs, "item")?;
    let output = take(&mut input.attrs, "output")?;
    let output_of = take(&mut input.attrs, "output_of")?;
    let ty = (*input.ty).clone();
    match (is_input, is_item, output, output_of) {
        (None, None, None, None) => Ok(Argument::Context(ty)),
        (Some(_), None, None, None) => Ok(Argument::Input(ty)),
        (None, Some(_), None, None) => Ok(Argument::Item(ty)),
        (None, None, Some(_), None) => match of_option(&ty) {
            Some(inner) => Ok(Argument::Output(inner)),
            None => {
                let text =
                    "an output is an `Option<T>`: whether the step happened may not be known";
                Err(Error::new(ty.span(), text))
            }
        },
        (None, None, None, Some(attribute)) => Ok(Argument::OutputOf(attribute.parse_args()?, ty)),
        _ => Err(Error::new(ty.span(), "a value comes from one place")),
    }
}

/// Refuses what does not fit the kind of method, and what is there twice.
fn check(
    method: &ImplItemFn,
    arguments: &[Argument],
    known: impl Fn(&Argument) -> bool,
    text: &str,
) -> Result<()> {
    let inputs = method.sig.inputs.iter().filter_map(|it| match it {
        FnArg::Typed(input) => Some(input),
        FnArg::Receiver(_) => None,
    });
    let mut seen: Vec<&Argument> = Vec::new();
    for (input, argument) in inputs.zip(arguments) {
        let is_repeat = seen.iter().any(|it| it.is_like(argument));
        if !known(argument) || is_repeat {
            return Err(Error::new(input.to_token_stream().span(), text));
        }
        seen.push(argument);
    }
    Ok(())
}

impl Argument {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OutputOf(one, _), Self::OutputOf(two, _)) => one == two,
            (Self::Context(_), Self::Context(_))
            | (Self::Input(_), Self::Input(_))
            | (Self::Item(_), Self::Item(_))
            | (Self::Output(_), Self::Output(_)) => true,
            _ => false,
        }
    }
}

/// The `T` of the `Result<T, E>` that a method returns.
fn output(method: &ImplItemFn) -> Result<Type> {
    let returned = match &method.sig.output {
        ReturnType::Type(_, ty) => first_of(ty, None),
        ReturnType::Default => None,
    };
    returned.ok_or_else(|| {
        let text = "say what it returns: `Result<T, E>`, where `E` becomes a `StepError`";
        let span = match &method.sig.output {
            ReturnType::Type(_, ty) => ty.span(),
            ReturnType::Default => method.sig.ident.span(),
        };
        Error::new(span, text)
    })
}

fn of_option(ty: &Type) -> Option<Type> {
    first_of(ty, Some("Option"))
}

/// The first type in the angle brackets of a type, which has this name if one is given.
fn first_of(ty: &Type, name: Option<&str>) -> Option<Type> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    if name.is_some_and(|name| last.ident != name) {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    }
}

impl Options {
    fn read(attribute: &Attribute, is_child: bool) -> Result<Self> {
        let mut options = Self::default();
        if !matches!(attribute.meta, Meta::Path(_)) {
            attribute.parse_nested_meta(|meta| options.take(&meta, is_child))?;
        }
        options.check_list()?;
        Ok(options)
    }

    /// Refuses what is said of a list where there is none.
    fn check_list(&self) -> Result<()> {
        let text = "the step is done once: say `for_each = \"/pointer\"` too";
        match (&self.for_each, &self.list_of, self.at_a_time) {
            (None, Some(step), _) => Err(Error::new(step.span(), text)),
            (None, None, Some(_)) => Err(Error::new(Span::call_site(), text)),
            _ => Ok(()),
        }
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>, is_child: bool) -> Result<()> {
        let word = meta
            .path
            .get_ident()
            .map(Ident::to_string)
            .unwrap_or_default();
        match word.as_str() {
            "name" => once(&mut self.name, meta, || meta.value()?.parse()),
            "compensated_by" => once(&mut self.compensated_by, meta, || meta.value()?.parse()),
            "version" => once(&mut self.version, meta, || {
                meta.value()?.parse::<LitInt>()?.base10_parse()
            }),
            "for_each" => once(&mut self.for_each, meta, || meta.value()?.parse()),
            "list_of" => once(&mut self.list_of, meta, || meta.value()?.parse()),
            "at_a_time" => once(&mut self.at_a_time, meta, || {
                meta.value()?.parse::<LitInt>()?.base10_parse()
            }),
            "given" if is_child => once(&mut self.given, meta, || meta.value()?.parse()),
            "given_of" if is_child => once(&mut self.given_of, meta, || meta.value()?.parse()),
            "timeout" | "retries" | "retry_delay" if is_child => Err(unknown(meta, KNOWN_OF_CHILD)),
            "timeout" => once(&mut self.timeout_ms, meta, || duration(meta)),
            "retry_delay" => once(&mut self.retry_delay_ms, meta, || duration(meta)),
            "retries" => once(&mut self.retries, meta, || {
                meta.value()?.parse::<LitInt>()?.base10_parse()
            }),
            "after" if self.after.is_empty() => {
                let value = meta.value()?;
                let steps;
                bracketed!(steps in value);
                let steps = Punctuated::<Ident, Token![,]>::parse_terminated(&steps)?;
                self.after.extend(steps);
                Ok(())
            }
            "after" => Err(meta.error("is said twice")),
            _ if is_child => Err(unknown(meta, KNOWN_OF_CHILD)),
            _ => Err(unknown(meta, KNOWN)),
        }
    }
}

/// Milliseconds of a text such as `30s`, as a definition's file has it.
fn duration(meta: &ParseNestedMeta<'_>) -> Result<u64> {
    let literal: LitStr = meta.value()?.parse()?;
    let text = literal.value();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let ms = unit_ms.and_then(|unit_ms| number.parse::<u64>().ok()?.checked_mul(unit_ms));
    ms.ok_or_else(|| {
        let text =
            "must be a duration such as `\"500ms\"`, `\"30s\"`, `\"2m\"`, `\"1h\"`, `\"7d\"`";
        Error::new(literal.span(), text)
    })
}
