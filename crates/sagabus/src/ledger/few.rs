//! Lists that are nearly always empty: those take one word, and nothing is to be freed.

use std::ops::Deref;

use minicbor::decode::{self, Decode, Decoder};
use minicbor::encode::{self, Encode, Encoder, Write};

/// A list of which nearly all are empty. Written as any list.
#[derive(Clone, Debug)]
#[expect(
    clippy::box_collection,
    reason = "a list takes three words, its box one"
)]
pub(crate) struct Few<T>(Option<Box<Vec<T>>>);

impl<T> Few<T> {
    /// The list, to change.
    pub(crate) fn list(&mut self) -> &mut Vec<T> {
        self.0.get_or_insert_default()
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T> From<Vec<T>> for Few<T> {
    fn from(list: Vec<T>) -> Self {
        Self((!list.is_empty()).then(|| Box::new(list)))
    }
}

impl<T> From<Few<T>> for Vec<T> {
    fn from(few: Few<T>) -> Self {
        few.0.map_or_else(Self::new, |list| *list)
    }
}

impl<C, T: Encode<C>> Encode<C> for Few<T> {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        self.deref().encode(encoder, ctx)
    }
}

impl<'b, C, T: Decode<'b, C>> Decode<'b, C> for Few<T> {
    fn decode(decoder: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        Vec::decode(decoder, ctx).map(Self::from)
    }
}
