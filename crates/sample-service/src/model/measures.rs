//! Figures of all samples, for the metrics.

/// Upper bounds of the time that a sample takes, in seconds: from an hour to three months.
pub const PROCESSING_SECONDS: [u32; 9] = [
    3_600, 28_800, 86_400, 259_200, 604_800, 1_209_600, 2_419_200, 3_628_800, 7_776_000,
];

/// Figures of all samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// How many there are of each molecule and priority.
    pub samples: Vec<(String, String, u64)>,
    /// How long the completed ones took, all together, in seconds: from when form and tube were there, without holds.
    pub processing_seconds: f64,
    /// How many took up to each of the bounds, and more than the one before it; the last has no bound.
    pub processing_counts: [u64; PROCESSING_SECONDS.len() + 1],
}
