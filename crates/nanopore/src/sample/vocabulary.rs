//! The closed lists of words for a sample: molecule, and how a concentration was measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of molecule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
pub enum SampleType {
    /// DNA.
    #[serde(rename = "DNA")]
    Dna,
    /// RNA.
    #[serde(rename = "RNA")]
    Rna,
    /// DNA copied from RNA.
    #[serde(rename = "cDNA")]
    Cdna,
    /// Protein.
    Protein,
    /// Something else.
    Other,
}

impl SampleType {
    /// Every molecule.
    pub const ALL: [Self; 5] = [Self::Dna, Self::Rna, Self::Cdna, Self::Protein, Self::Other];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dna => "DNA",
            Self::Rna => "RNA",
            Self::Cdna => "cDNA",
            Self::Protein => "Protein",
            Self::Other => "Other",
        }
    }

    /// Smallest and largest concentration that is plausible, in ng/µL.
    #[must_use]
    pub const fn concentration_ng_ul(self) -> (f64, f64) {
        match self {
            Self::Dna | Self::Cdna => (0.1, 1_000.0),
            Self::Rna => (0.01, 100.0),
            Self::Protein => (0.001, 10.0),
            Self::Other => (0.001, 10_000.0),
        }
    }

    /// The molecule of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How a concentration was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
pub enum ConcentrationMethod {
    /// By fluorescence, which counts the wanted molecule only; preferred.
    Qubit,
    /// By absorbance.
    NanoDrop,
    /// By capillary electrophoresis.
    Bioanalyzer,
}

impl ConcentrationMethod {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Qubit, Self::NanoDrop, Self::Bioanalyzer];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qubit => "Qubit",
            Self::NanoDrop => "NanoDrop",
            Self::Bioanalyzer => "Bioanalyzer",
        }
    }

    /// The method of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }
}
