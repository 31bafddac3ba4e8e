//! Tells once when the number of dead letters goes above its limit, and once when it is back. Pure.

/// The number of dead letters and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// It went above the limit.
    Above {
        /// Dead letters now.
        dead: u64,
        /// The limit.
        threshold: u64,
    },
    /// It is at nine tenths of the limit, or below.
    Back {
        /// Dead letters now.
        dead: u64,
        /// The limit.
        threshold: u64,
    },
}

/// On which side of the limit the number was last.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    is_above: bool,
    /// How often it went above.
    pub(crate) alerts: u64,
}

impl Alarm {
    pub(crate) fn look(&mut self, dead: u64, threshold: u64) -> Option<Crossing> {
        if !self.is_above && dead > threshold {
            self.is_above = true;
            self.alerts += 1;
            return Some(Crossing::Above { dead, threshold });
        }
        if self.is_above && dead <= threshold - threshold / 10 {
            self.is_above = false;
            return Some(Crossing::Back { dead, threshold });
        }
        None
    }
}

#[cfg(test)]
mod tests;
