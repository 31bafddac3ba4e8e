//! Checkpoints: the size and root of the tree as a signed note (C2SP tlog-checkpoint, signed-note), Ed25519.

mod key;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sagabus::{Error, Result};

use crate::merkle::Hash;

pub use key::{Signer, Verifier};

/// What begins the line of a signature.
const DASH: &str = "\u{2014} ";

/// A state of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// How many entries it is of.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// A state that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What was signed.
    pub state: State,
    /// The signed note.
    pub note: String,
}

impl State {
    /// The text that is signed.
    fn text(&self, origin: &str) -> String {
        let root = BASE64_STANDARD.encode(self.root);
        format!("{origin}\n{}\n{root}\n", self.size)
    }
}

impl Signer {
    /// Signs a state.
    #[must_use]
    pub fn sign(&self, state: State) -> Checkpoint {
        let verifier = self.verifier();
        let text = state.text(verifier.name());
        let mut signature = verifier.id().to_vec();
        signature.extend(self.signature(text.as_bytes()));
        let signature = BASE64_STANDARD.encode(signature);
        let note = format!("{text}\n{DASH}{} {signature}\n", verifier.name());
        Checkpoint { state, note }
    }
}

impl Verifier {
    /// Reads a checkpoint that was signed with this key.
    ///
    /// # Errors
    /// `Invalid`, with what is wrong with the note.
    pub fn open(&self, note: &str) -> Result<Checkpoint> {
        let wrong = |text: String| Err(Error::invalid(text));
        let Some((text, signatures)) = note.split_once("\n\n") else {
            return wrong("the checkpoint has no signature".to_owned());
        };
        let text = format!("{text}\n");
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        if origin != Some(self.name()) {
            let origin = origin.unwrap_or_default().escape_debug();
            return wrong(format!(
                "the checkpoint is of the log `{origin}`, not of `{}`",
                self.name()
            ));
        }
        let state = State {
            size: size
                .and_then(whole_number)
                .ok_or_else(|| Error::invalid("the checkpoint has no size in its second line"))?,
            root: root
                .and_then(|it| BASE64_STANDARD.decode(it).ok())
                .and_then(|it| it.try_into().ok())
                .ok_or_else(|| Error::invalid("the checkpoint has no root in its third line"))?,
        };
        // More lines would be signed, and mean something that this program does not know.
        if text != state.text(self.name()) {
            return wrong("the checkpoint has more than its three lines".to_owned());
        }
        let is_signed = signatures
            .lines()
            .any(|line| self.is_signature(line, &text));
        if !is_signed || !signatures.ends_with('\n') {
            return wrong(format!(
                "the checkpoint of {} entries is not signed by `{}`",
                state.size,
                self.name()
            ));
        }
        Ok(Checkpoint {
            state,
            note: note.to_owned(),
        })
    }

    /// Whether a line is this key's signature of the text.
    fn is_signature(&self, line: &str, text: &str) -> bool {
        line.strip_prefix(DASH)
            .and_then(|it| it.strip_prefix(self.name())?.strip_prefix(' '))
            .and_then(|it| BASE64_STANDARD.decode(it).ok())
            .and_then(|it| {
                let (id, signature) = it.split_first_chunk::<4>()?;
                Some(*id == self.id() && self.has_signed(text.as_bytes(), signature))
            })
            .unwrap_or(false)
    }
}

/// A number as it is written: without a sign, without zeros before it.
fn whole_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests;
