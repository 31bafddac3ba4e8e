//! How far an event type has moved to the bus, and which way an event goes. Pure.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::event::{Event, EventType};
use crate::pattern::Pattern;

/// Name of the metadata that says which way an event has its effect on: `old` or `bus`.
pub const LEADER: &str = "migrationleader";
/// Most patterns with a phase: each event is compared with all of them.
const RULES_MAX: usize = 1000;

/// How far an event type has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The bus does not see it.
    #[default]
    OldOnly,
    /// Both see it; the old way has the effect.
    OldLeads,
    /// Both see it; the bus has the effect.
    BusLeads,
    /// The old way does not see it.
    BusOnly,
}

/// A way for an event to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// How it went before.
    Old,
    /// The bus.
    Bus,
}

/// What an event is to the way that it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It has its effect here.
    Leads,
    /// It is only looked at here, to compare.
    Follows,
}

impl Phase {
    /// The phase in one word, as [`Phases`] reads it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OldOnly => "old_only",
            Self::OldLeads => "old_leads",
            Self::BusLeads => "bus_leads",
            Self::BusOnly => "bus_only",
        }
    }

    /// The way that has the effect.
    #[must_use]
    pub fn leader(self) -> Way {
        match self {
            Self::OldOnly | Self::OldLeads => Way::Old,
            Self::BusLeads | Self::BusOnly => Way::Bus,
        }
    }

    /// Whether events go this way too.
    #[must_use]
    pub fn uses(self, way: Way) -> bool {
        match self {
            Self::OldOnly => way == Way::Old,
            Self::OldLeads | Self::BusLeads => true,
            Self::BusOnly => way == Way::Bus,
        }
    }
}

impl FromStr for Phase {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::OldOnly, Self::OldLeads, Self::BusLeads, Self::BusOnly]
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "phase `{}` is none of `old_only`, `old_leads`, `bus_leads`, `bus_only`",
                    text.escape_debug()
                ))
            })
    }
}

impl Way {
    /// The way in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Bus => "bus",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Old => Self::Bus,
            Self::Bus => Self::Old,
        }
    }

    /// Which way `event` has its effect on, if that is decided.
    #[must_use]
    pub fn leading(event: &Event) -> Option<Self> {
        match event.metadata.get(LEADER)?.as_str() {
            "old" => Some(Self::Old),
            "bus" => Some(Self::Bus),
            _ => None,
        }
    }
}

/// The phase of each event type. Read from a text such as `sample.** = bus_leads, ai.* = old_leads`; the first pattern
/// that fits says it, and where none does, the type is at [`Phase::OldOnly`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases(Vec<(Pattern, Phase)>);

impl Phases {
    /// The phase of a type.
    #[must_use]
    pub fn of(&self, event_type: &EventType) -> Phase {
        let fits = |(pattern, _): &&(Pattern, Phase)| pattern.matches(event_type);
        self.0
            .iter()
            .find(fits)
            .map_or_else(Phase::default, |it| it.1)
    }

    /// Gives what fits a pattern a phase: in its place when it is known, otherwise before all others.
    ///
    /// # Errors
    /// `Invalid` when the pattern is none. `Full` with 1,000 patterns.
    pub fn set(&mut self, pattern: &str, phase: Phase) -> Result<()> {
        let pattern = Pattern::new(pattern)?;
        if let Some(known) = self.0.iter_mut().find(|(it, _)| *it == pattern) {
            known.1 = phase;
            return Ok(());
        }
        if self.0.len() >= RULES_MAX {
            return Err(Error::new(
                crate::error::ErrorKind::Full,
                format!("{RULES_MAX} patterns have a phase, the most that can have one"),
            ));
        }
        self.0.insert(0, (pattern, phase));
        Ok(())
    }

    /// Decides which way `event` goes. Who leads is written into it, and stays as it was where it is written already;
    /// the other way sees it where the phase of now says so.
    pub(super) fn route(&self, event: &mut Event) -> Route {
        let phase = self.of(&event.event_type);
        let leader = Way::leading(event).unwrap_or_else(|| phase.leader());
        event
            .metadata
            .insert(LEADER.to_owned(), leader.as_str().to_owned());
        Route {
            leader,
            is_followed: phase.uses(leader.other()),
        }
    }
}

impl FromStr for Phases {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut phases = Self::default();
        // The last one that is set stands first.
        for rule in text.split(',').rev().filter(|it| !it.trim().is_empty()) {
            let Some((pattern, phase)) = rule.split_once('=') else {
                return Err(Error::invalid(format!(
                    "`{}` is not `pattern = phase`",
                    rule.trim().escape_debug()
                )));
            };
            let pattern = pattern.trim();
            if phases.0.iter().any(|(it, _)| it.as_str() == pattern) {
                return Err(Error::invalid(format!(
                    "pattern `{}` has two phases",
                    pattern.escape_debug()
                )));
            }
            phases.set(pattern, phase.trim().parse()?)?;
        }
        Ok(phases)
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (pattern, phase)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{} = {}", pattern.as_str(), phase.as_str())?;
        }
        Ok(())
    }
}

/// Where one event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) leader: Way,
    pub(super) is_followed: bool,
}

#[cfg(test)]
mod tests;
