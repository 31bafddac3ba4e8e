//! The words of other systems, and what they are here. A word that has no mapping is refused, never guessed.

use super::priority::Priority;
use super::stage::Stage;
use super::status::Status;
use super::vocabulary::SampleType;

/// Where a sample of another system is put here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    /// Its status.
    pub status: Status,
    /// The processing step that it is at, where that is known.
    pub stage: Option<Stage>,
    /// Why it is closed, where it is.
    pub reason: Option<&'static str>,
    /// Why it is on hold, where it is.
    pub hold: Option<&'static str>,
}

impl Landing {
    /// A sample that was only announced.
    pub const SUBMITTED: Self = Self {
        status: Status::Submitted,
        stage: None,
        reason: None,
        hold: None,
    };
}

/// The molecule of a word; and whether the word says more than that, which is its material.
#[must_use]
pub fn sample_type(word: &str) -> Option<(SampleType, bool)> {
    Some(match word.trim().to_lowercase().as_str() {
        "dna" => (SampleType::Dna, false),
        "rna" => (SampleType::Rna, false),
        "cdna" => (SampleType::Cdna, false),
        "protein" => (SampleType::Protein, false),
        "other" => (SampleType::Other, false),
        "genomic dna" | "plasmid dna" | "amplicon" | "pcr product" | "pcr amplicons"
        | "hmw dna/gdna" | "hmw dna" | "gdna" | "fragmented dna" => (SampleType::Dna, true),
        "total rna" | "mrna" => (SampleType::Rna, true),
        _ => return None,
    })
}

/// The priority of a word.
#[must_use]
pub fn priority(word: &str) -> Option<Priority> {
    let word = word.trim().to_lowercase();
    match word.as_str() {
        "medium" | "standard" => Some(Priority::Normal),
        word => Priority::from_word(word),
    }
}

/// Where a sample with this word for a status is put; `stage` is the processing step that it is at, where that is known.
///
/// # Errors
/// What is wrong, in words that follow the name of the field.
pub fn landing(word: &str, stage: Option<Stage>) -> Result<Landing, String> {
    let word = word.trim().to_lowercase();
    let at = |status| Landing {
        status,
        ..Landing::SUBMITTED
    };
    match word.as_str() {
        "submitted" | "assigned" => Ok(Landing::SUBMITTED),
        "in_progress" => match stage {
            Some(step) => Ok(Landing {
                stage,
                ..at(step.status())
            }),
            None => Err("is `in_progress`, which needs a `stage` to say how far it is".to_owned()),
        },
        "failed" => Ok(Landing {
            hold: Some("failed in the system that it comes from"),
            stage,
            ..at(stage.map_or(Status::Submitted, Stage::status))
        }),
        "cancelled" => Ok(Landing {
            reason: Some("cancelled"),
            ..at(Status::Archived)
        }),
        word => {
            let unknown = || format!("has no value `{}`", word.escape_debug());
            let status = Status::from_word(word).ok_or_else(unknown)?;
            let is_work = matches!(status, Status::Prep | Status::Sequencing | Status::Analysis);
            let stage = stage.filter(|_| is_work);
            match stage {
                Some(step) if !is_at(status, step) => {
                    Err(format!("is `{status}`, in which no sample is at `{step}`"))
                }
                _ => Ok(Landing {
                    stage,
                    ..at(status)
                }),
            }
        }
    }
}

/// Whether a sample of this status can have this step before it: one of its own, or the first one of the next status.
fn is_at(status: Status, stage: Stage) -> bool {
    let before = Stage::ALL.into_iter().filter(|it| *it < stage).max();
    stage.status() == status || before.is_some_and(|it| it.status() == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_stand_alone_service_have_their_mapping_and_others_are_refused() {
        let status = |word, stage| landing(word, stage).map(|it| it.status);
        assert_eq!(status("Submitted", None), Ok(Status::Submitted));
        assert_eq!(status("assigned", None), Ok(Status::Submitted));
        assert!(status("in_progress", None).is_err());
        for (stage, expected) in [
            (Stage::LibraryQc, Status::Prep),
            (Stage::SequencingRun, Status::Sequencing),
            (Stage::Basecalling, Status::Analysis),
        ] {
            assert_eq!(status("in_progress", Some(stage)), Ok(expected));
        }
        assert_eq!(status("completed", None), Ok(Status::Completed));
        assert!(landing("failed", None).unwrap().hold.is_some());
        let cancelled = landing("CANCELLED", None).unwrap();
        assert_eq!(
            (cancelled.status, cancelled.reason),
            (Status::Archived, Some("cancelled"))
        );
        for known in Status::ALL {
            assert_eq!(status(known.as_str(), None), Ok(known));
        }
        assert!(status("done", None).is_err());
        let own = landing("prep", Some(Stage::SequencingSetup)).unwrap();
        assert_eq!(
            (own.status, own.stage),
            (Status::Prep, Some(Stage::SequencingSetup))
        );
        assert!(landing("prep", Some(Stage::SequencingRun)).is_err());
        assert!(landing("analysis", Some(Stage::SampleQc)).is_err());
        assert_eq!(priority("medium"), Some(Priority::Normal));
        assert_eq!(priority(" URGENT "), Some(Priority::Urgent));
        assert_eq!(priority("rush"), None);
        assert_eq!(sample_type("dna"), Some((SampleType::Dna, false)));
        assert_eq!(sample_type("Total RNA"), Some((SampleType::Rna, true)));
        assert_eq!(sample_type("soil"), None);
    }
}
