//! Who gives an order: named, or whoever uses the shell.

use clap::Args;

use super::Failure;

/// Who does something.
#[derive(Debug, Args)]
pub(crate) struct Author {
    /// Who does it [default: whoever uses the shell]
    #[arg(long)]
    author: Option<String>,
}

impl Author {
    /// The name, which is never empty.
    pub(crate) fn name(&self) -> Result<String, Failure> {
        let named = self.author.clone().or_else(crate::config::user);
        match named {
            Some(name) if !name.trim().is_empty() => Ok(name),
            Some(_) => Err(wrong("`--author` is empty: say who does it")),
            None => Err(wrong(
                "say who does it with --author: the shell has no user",
            )),
        }
    }
}

fn wrong(text: &str) -> Failure {
    Failure {
        text: text.to_owned(),
        code: 2,
    }
}
