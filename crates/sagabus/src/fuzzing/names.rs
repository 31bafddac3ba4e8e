//! Ids, times, versions and places in a list: what is read is written as it was, or as something that reads the same.

use std::fmt::Display;
use std::str::FromStr;

use super::{refused, texts};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::event::{EventId, EventType};
use crate::saga::SagaId;
use crate::schema::Version;
use crate::transport::DeadLetterId;

/// Most texts of one input.
const TEXTS_MAX: usize = 8;

/// Each text of the input is read as each of them.
pub(super) fn names(bytes: &[u8]) {
    for text in texts(bytes).take(TEXTS_MAX) {
        let same = [
            comes_back::<EventId>(text),
            comes_back::<EventType>(text),
            comes_back::<SagaId>(text),
        ];
        for printed in same.into_iter().flatten() {
            assert_eq!(printed, text);
        }
        comes_back::<Timestamp>(text);
        comes_back::<Version>(text);
        if let Some(printed) = comes_back::<DeadLetterId>(text) {
            // A number may be written with zeros and a sign before it.
            assert_eq!(
                printed.rsplit_once('/').map(|it| it.0),
                text.rsplit_once('/').map(|it| it.0)
            );
        }
    }
}

/// How it is written, where it is taken.
fn comes_back<T: FromStr<Err = Error> + Display + PartialEq + std::fmt::Debug>(
    text: &str,
) -> Option<String> {
    match text.parse::<T>() {
        Ok(read) => {
            let printed = read.to_string();
            assert_eq!(printed.parse::<T>().ok(), Some(read), "{text:?}");
            Some(printed)
        }
        Err(error) => {
            refused(&error);
            None
        }
    }
}
