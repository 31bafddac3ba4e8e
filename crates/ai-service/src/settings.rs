//! What can be set of the service. Needs nothing but the standard library.

use std::time::Duration;

/// Settings of the service.
#[derive(Clone, Debug, PartialEq)]
pub struct AiSettings {
    /// A result, or a value, below this confidence waits for a person. Default: 0.7.
    pub confidence_threshold: f64,
    /// A method or model whose share of right values falls below this is told as degraded. Default: 0.9.
    pub accuracy_threshold: f64,
    /// How documents are read where nobody says it. Default: by labels and geometry.
    pub method: ReadBy,
    /// Before a document that nobody's saga repeats is tried a second time; twice as long before the third. Default: 1 s.
    pub retry_delay: Duration,
    /// The model that is asked. Default: none.
    pub model: ModelSettings,
}

impl Default for AiSettings {
    fn default() -> Self {
        Self {
            confidence_threshold: 0.7,
            accuracy_threshold: 0.9,
            method: ReadBy::Pattern,
            retry_delay: Duration::from_secs(1),
            model: ModelSettings::default(),
        }
    }
}

/// How a document is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBy {
    /// By labels and the geometry of the page.
    Pattern,
    /// The same, and labels that are only like those known.
    Rag,
    /// By a language model, whose values are looked up in the text.
    Llm,
    /// By all of them, field by field.
    Hybrid,
}

impl ReadBy {
    /// The way of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "pattern" => Self::Pattern,
            "rag" => Self::Rag,
            "llm" => Self::Llm,
            "hybrid" => Self::Hybrid,
            _ => return None,
        })
    }
}

/// A language model behind an endpoint of the usual shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSettings {
    /// Where it is; none is asked without.
    pub url: Option<ModelUrl>,
    /// Its name there.
    pub name: String,
    /// The model that makes vectors of texts there; empty: none is asked for any.
    pub embedding: String,
    /// Longest time for one answer. Default: 30 s.
    pub timeout: Duration,
    /// Before a call is tried a second time; twice as long before each further one. Default: 1 s.
    pub retry_delay: Duration,
    /// How long nothing is asked after five failures in a row. Default: 60 s.
    pub open_for: Duration,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            url: None,
            name: String::new(),
            embedding: String::new(),
            timeout: Duration::from_secs(30),
            retry_delay: Duration::from_secs(1),
            open_for: Duration::from_mins(1),
        }
    }
}

/// The base of an endpoint, such as `http://localhost:11434/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelUrl {
    /// Name or address, and port.
    pub authority: String,
    /// What stands before `/chat/completions`; without a slash at its end.
    pub path: String,
}

impl ModelUrl {
    /// Reads a URL. Plain HTTP alone is spoken: a model elsewhere is reached through a proxy on this machine.
    ///
    /// # Errors
    /// What is wrong, in words that follow the URL.
    pub fn read(text: &str) -> Result<Self, String> {
        let shape = "must be like `http://localhost:11434/v1`";
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| format!("{shape}; only plain HTTP is spoken"))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let plain = |it: char| it.is_ascii_alphanumeric() || "-._~/".contains(it);
        let is_host = |it: char| it.is_ascii_alphanumeric() || "-._:[]".contains(it);
        if authority.is_empty() || !authority.chars().all(is_host) || !path.chars().all(plain) {
            return Err(format!("{shape}, without user, query or fragment"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().ok()),
            Some(_) | None => (authority, Some(80)),
        };
        let Some(port) = port.filter(|_| !host.is_empty()) else {
            return Err(format!("{shape}: its port is none"));
        };
        Ok(Self {
            authority: format!("{host}:{port}"),
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_model_is_plain_http_and_nothing_is_guessed() {
        let good = |text: &str| ModelUrl::read(text).map(|it| (it.authority, it.path));
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(
            good("http://localhost:11434/v1/"),
            pair("localhost:11434", "/v1")
        );
        assert_eq!(good("http://127.0.0.1"), pair("127.0.0.1:80", ""));
        assert_eq!(good("http://[::1]:80/v1"), pair("[::1]:80", "/v1"));
        assert_eq!(good("http://[::1]"), pair("[::1]:80", ""));
        for text in [
            "",
            "localhost",
            "https://example.org/v1",
            "ftp://a",
            "http://",
            "http:///v1",
            "http://a:b/v1",
            "http://a:99999",
            "http://user@host/v1",
            "http://host/v1?x=1",
            "http://host/v1#a",
            "http://ho st/v1",
            "http://host/\r\nHost: other",
        ] {
            assert!(good(text).is_err(), "{text}");
        }
    }
}
