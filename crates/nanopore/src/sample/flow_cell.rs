//! The life of a flow cell: what can be done with it, by the rules of its product.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::field::FieldErrors;

/// Most loads that a rule can allow.
const LOADS_MAX: u64 = 100;
/// Most pores of a flow cell: those of the largest product.
pub const PORES_MAX: u32 = 12_000;
/// Longest id, in characters.
const ID_CHARACTERS_MAX: usize = 50;

/// Where a flow cell is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowCellState {
    /// Nothing was loaded yet.
    #[default]
    New,
    /// Samples are on it.
    Loaded,
    /// The last samples were washed off.
    Washed,
    /// It is not used any more.
    UsedUp,
    /// It went back to the vendor.
    Returned,
}

impl FlowCellState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::New,
        Self::Loaded,
        Self::Washed,
        Self::UsedUp,
        Self::Returned,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Loaded => "loaded",
            Self::Washed => "washed",
            Self::UsedUp => "used_up",
            Self::Returned => "returned",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// Whether its life is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::UsedUp | Self::Returned)
    }
}

impl fmt::Display for FlowCellState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often flow cells of a product are used. Nothing said is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReuseRule {
    /// Most loads.
    pub loads_max: Option<u32>,
    /// Fewest pores with which it is loaded, where they are known.
    pub pores_min: Option<u32>,
    /// Whether more can be loaded without a wash in between.
    pub may_top_up: bool,
}

impl ReuseRule {
    /// The attributes of a product that are its rule.
    pub const NAMES: [&str; 3] = ["maxLoads", "minPores", "mayTopUp"];

    /// Reads the rule from the attributes of a product.
    ///
    /// # Errors
    /// Each attribute that is not of its kind.
    pub fn read(attributes: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut count = |name: &str, max: u64| {
            let value = attributes.get(name)?;
            let number = value.as_u64().filter(|it| (1..=max).contains(it));
            if number.is_none() {
                let text = format!("must be a whole number, 1 to {max}");
                errors.add(format!("attributes.{name}"), text);
            }
            number.and_then(|it| u32::try_from(it).ok())
        };
        let [max_loads, min_pores, may_top_up] = Self::NAMES;
        let loads_max = count(max_loads, LOADS_MAX);
        let pores_min = count(min_pores, PORES_MAX.into());
        let flag = attributes.get(may_top_up);
        if flag.is_some_and(|it| !it.is_boolean()) {
            let name = format!("attributes.{may_top_up}");
            errors.add(name, "must be `true` or `false`");
        }
        match errors.0.is_empty() {
            true => Ok(Self {
                loads_max,
                pores_min,
                may_top_up: flag.and_then(Value::as_bool).unwrap_or(false),
            }),
            false => Err(errors),
        }
    }
}

/// What counts for what can be done with a flow cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Where it is.
    pub state: FlowCellState,
    /// How often it was loaded.
    pub loads: u32,
    /// How many pores it had when they were last counted.
    pub pores: Option<u32>,
}

impl Life {
    /// The life after samples were loaded; `pores` are those counted before it.
    ///
    /// # Errors
    /// `state`, `loads` or `pores`, with the rule that stands against it.
    pub fn loaded(self, rule: ReuseRule, pores: Option<u32>) -> Result<Self, FieldErrors> {
        self.check_not_over("nothing is loaded on it")?;
        if self.state == FlowCellState::Loaded && !rule.may_top_up {
            return Err(FieldErrors::one("state", "is `loaded`; wash it first"));
        }
        if let Some(max) = rule.loads_max.filter(|max| self.loads >= *max) {
            let text = format!("are {} already, and its product takes {max}", self.loads);
            return Err(FieldErrors::one("loads", text));
        }
        let pores = pores.or(self.pores);
        if let (Some(min), Some(pores)) = (rule.pores_min, pores)
            && pores < min
        {
            let text = format!("are {pores}, and its product is loaded with {min} at least");
            return Err(FieldErrors::one("pores", text));
        }
        Ok(Self {
            state: FlowCellState::Loaded,
            loads: self.loads.saturating_add(1),
            pores,
        })
    }

    /// The life after a wash.
    ///
    /// # Errors
    /// `state` where nothing is to be washed off.
    pub fn washed(self, pores: Option<u32>) -> Result<Self, FieldErrors> {
        if self.state != FlowCellState::Loaded {
            let text = format!("is `{}`; nothing is to be washed off", self.state);
            return Err(FieldErrors::one("state", text));
        }
        Ok(Self {
            state: FlowCellState::Washed,
            pores: pores.or(self.pores),
            ..self
        })
    }

    /// The life after its pores were counted.
    ///
    /// # Errors
    /// `state` where it is over.
    pub fn checked(self, pores: u32) -> Result<Self, FieldErrors> {
        self.check_not_over("its pores are not counted any more")?;
        Ok(Self {
            pores: Some(pores),
            ..self
        })
    }

    /// The life after its end.
    ///
    /// # Errors
    /// `state` where it is over already; `outcome` where that is no end.
    pub fn ended(self, outcome: FlowCellState) -> Result<Self, FieldErrors> {
        self.check_not_over("it has ended already")?;
        if !outcome.is_over() {
            return Err(FieldErrors::one(
                "outcome",
                "must be `used_up` or `returned`",
            ));
        }
        Ok(Self {
            state: outcome,
            ..self
        })
    }

    fn check_not_over(self, why: &str) -> Result<(), FieldErrors> {
        match self.state.is_over() {
            true => Err(FieldErrors::one(
                "state",
                format!("is `{}`; {why}", self.state),
            )),
            false => Ok(()),
        }
    }
}

/// What is wrong with the id of a flow cell: it is the one that the sequencer reads.
///
/// # Errors
/// In words that follow the name of the field.
pub fn check_flow_cell_id(id: &str) -> Result<(), String> {
    let is_allowed = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || b"_-".contains(&it);
    if (1..=ID_CHARACTERS_MAX).contains(&id.len()) && id.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(format!(
        "must be 1 to {ID_CHARACTERS_MAX} of capital letters, digits, `_` and `-`"
    ))
}

#[cfg(test)]
mod tests;
