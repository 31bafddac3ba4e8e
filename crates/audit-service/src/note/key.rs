//! The key pair that signs checkpoints, in the text form of signed notes.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sagabus::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

use crate::merkle::{Hash, hex};

/// Names Ed25519 in a signed note.
const ED25519: u8 = 1;
/// What begins the text of a private key.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Signs checkpoints.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    verifier: Verifier,
}

/// Checks who signed a checkpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

impl Signer {
    /// A new key under a name that no other log has.
    ///
    /// # Errors
    /// `Transient` when the operating system gives no random numbers.
    pub fn generate() -> Result<Self> {
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| {
            let text = "the operating system gives no random numbers for a key";
            Error::new(ErrorKind::Transient, text).with_source(std::io::Error::from(error))
        })?;
        let (seed, name) = random.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
        Ok(Self::new(format!("sagabus-audit-{}", hex(name)), seed))
    }

    /// The key made of a seed.
    #[must_use]
    pub fn new(name: String, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let verifier = Verifier {
            name,
            key: key.verifying_key(),
        };
        Self { key, verifier }
    }

    /// Reads the text of a private key: `PRIVATE+KEY+name+id+seed`.
    ///
    /// # Errors
    /// `Invalid`. The text is in no error.
    pub fn read(text: &str) -> Result<Self> {
        let wrong =
            || Error::invalid("is not the text of a private key (`PRIVATE+KEY+name+id+seed`)");
        let rest = text.trim_end().strip_prefix(PRIVATE).ok_or_else(wrong)?;
        let (name, id, seed) = parts(rest).ok_or_else(wrong)?;
        let seed = seed.as_slice().try_into().map_err(|_| wrong())?;
        let signer = Self::new(name, &seed);
        match hex(&signer.verifier.id()) == id {
            true => Ok(signer),
            false => Err(Error::invalid("has an id that is not that of its key")),
        }
    }

    /// The text of the private key. It goes into its file and nowhere else.
    pub(crate) fn text(&self) -> String {
        let mut key = vec![ED25519];
        key.extend(self.key.to_bytes());
        let Verifier { name, .. } = &self.verifier;
        let id = hex(&self.verifier.id());
        format!("{PRIVATE}{name}+{id}+{}\n", BASE64_STANDARD.encode(key))
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(super) fn signature(&self, text: &[u8]) -> [u8; 64] {
        self.key.sign(text).to_bytes()
    }
}

impl Verifier {
    /// Reads the text of a public key: `name+id+key`.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn read(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("the public key is not of the form `name+id+key`");
        let (name, id, key) = parts(text.trim()).ok_or_else(wrong)?;
        let key = key.as_slice().try_into().map_err(|_| wrong())?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| wrong())?;
        let verifier = Self { name, key };
        match hex(&verifier.id()) == id {
            true => Ok(verifier),
            false => Err(Error::invalid(
                "the id in the public key is not that of its key",
            )),
        }
    }

    /// The name of the log, which is the first line of its checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Four bytes by which a signature names its key.
    pub(super) fn id(&self) -> [u8; 4] {
        let hash: Hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }

    /// Whether this key made the signature, by the strict rules: there is one signature of a text and no other.
    pub(super) fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(text, &signature).is_ok())
    }
}

/// Name, id, and the bytes of an Ed25519 key.
fn parts(text: &str) -> Option<(String, &str, Vec<u8>)> {
    let mut parts = text.splitn(3, '+');
    let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    let key = BASE64_STANDARD.decode(key).ok()?;
    match key.split_first()? {
        (&ED25519, key) if is_name => Some((name.to_owned(), id, key.to_vec())),
        _ => None,
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The private half is in no log.
        f.debug_tuple("Signer").field(&self.verifier).finish()
    }
}

/// The text of the public key.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend(self.key.as_bytes());
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hex(&self.id()),
            BASE64_STANDARD.encode(key)
        )
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
