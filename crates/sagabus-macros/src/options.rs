//! What the macros share: options that are said once, and the last word of a type.

use syn::meta::ParseNestedMeta;
use syn::{Error, Result, Type, TypePath};

/// Takes the value of an option that may be said once.
pub(crate) fn once<T>(
    to: &mut Option<T>,
    meta: &ParseNestedMeta<'_>,
    value: impl FnOnce() -> Result<T>,
) -> Result<()> {
    if to.is_some() {
        return Err(meta.error("is said twice"));
    }
    *to = Some(value()?);
    Ok(())
}

/// The error for an option that does not exist.
pub(crate) fn unknown(meta: &ParseNestedMeta<'_>, known: &str) -> Error {
    meta.error(format!("is not known; there are {known}"))
}

/// Whether a type's last word is `name`, such as `std::option::Option<T>` and `Option`.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    let Type::Path(TypePath {
        qself: None, path, ..
    }) = ty
    else {
        return false;
    };
    path.segments.last().is_some_and(|it| it.ident == name)
}
