//! Where a sample is in its work: status and processing steps, and what a move does to both. One never contradicts the other.

use schemars::JsonSchema;

use super::field::FieldErrors;
use super::stage::{Stage, StepStatus};
use super::status::Status;

/// Status and steps of a sample.
///
/// The current step is the first that is open. While the sample is at work, its current step is one of its status, or is
/// the first one of the next status and not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Course {
    /// Where the sample stands.
    pub status: Status,
    /// Whether it is on hold.
    pub is_held: bool,
    /// The steps, in the order of [`Stage::ALL`].
    pub steps: [StepStatus; Stage::COUNT],
}

/// What can be done about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Act {
    /// Begin it, also again after it failed.
    Start,
    /// End it well.
    Complete,
    /// End it badly.
    Fail,
    /// Leave it out.
    Skip,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 4] = [Self::Start, Self::Complete, Self::Fail, Self::Skip];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }

    /// From which states of a step, and to which.
    const fn way(self) -> (&'static [StepStatus], StepStatus) {
        const OPEN: &[StepStatus] = &[StepStatus::Pending, StepStatus::Failed];
        const BEGUN: &[StepStatus] = &[StepStatus::InProgress];
        match self {
            Self::Start => (OPEN, StepStatus::InProgress),
            Self::Complete => (BEGUN, StepStatus::Completed),
            Self::Fail => (BEGUN, StepStatus::Failed),
            Self::Skip => (OPEN, StepStatus::Skipped),
        }
    }

    /// Whether it waits until the sample is released: what runs already may end.
    const fn waits_for_release(self) -> bool {
        matches!(self, Self::Start | Self::Skip)
    }
}

impl Course {
    /// The first step that is open; none when all are done.
    #[must_use]
    pub fn current(&self) -> Option<Stage> {
        Stage::ALL
            .into_iter()
            .zip(self.steps)
            .find_map(|(stage, step)| step.is_open().then_some(stage))
    }

    /// How far a step is.
    #[must_use]
    pub fn step(&self, stage: Stage) -> StepStatus {
        Stage::ALL
            .into_iter()
            .zip(self.steps)
            .find_map(|(it, step)| (it == stage).then_some(step))
            .unwrap_or_default()
    }

    /// The course after `act` on the step `stage`, which must be the current one. The status goes along: to that of the step
    /// when it is begun or left out, and to `completed` with the last one.
    ///
    /// # Errors
    /// `stage`, `step`, `hold` or `status`, with what is allowed.
    pub fn after(self, stage: Stage, act: Act) -> Result<Self, FieldErrors> {
        self.check_current(stage)?;
        let (from, to) = act.way();
        let step = self.step(stage);
        if !from.contains(&step) {
            let allowed = Act::ALL.into_iter().filter(|it| it.way().0.contains(&step));
            let allowed: Vec<_> = allowed.map(Act::as_str).collect();
            let text = format!(
                "`{stage}` is `{step}`, so it cannot be {}; allowed: {}",
                match act {
                    Act::Start => "started",
                    Act::Complete => "completed",
                    Act::Fail => "failed",
                    Act::Skip => "skipped",
                },
                allowed.join(", ")
            );
            return Err(FieldErrors::one("step", text));
        }
        if self.is_held && act.waits_for_release() {
            return Err(held());
        }
        let mut after = self.entered(stage)?;
        after.put(stage, to);
        if after.current().is_none() {
            after.status = Status::Completed;
        }
        Ok(after)
    }

    /// The course with `stage` as its current step: it is that already, or is the next one, and the one before it is completed.
    ///
    /// # Errors
    /// As [`Course::after`]; `stage` when it is neither.
    pub fn moved_to(self, stage: Stage) -> Result<Self, FieldErrors> {
        let Some(current) = self.current() else {
            return Err(FieldErrors::one(
                "stage",
                "cannot change: all steps are done",
            ));
        };
        if stage == current {
            return Ok(self);
        }
        if current.next() != Some(stage) {
            let next = current
                .next()
                .map_or_else(String::new, |next| format!(", {next}"));
            let text = format!("cannot go from `{current}` to `{stage}`; allowed: {current}{next}");
            return Err(FieldErrors::one("stage", text));
        }
        if self.is_held {
            return Err(held());
        }
        match self.step(current) {
            StepStatus::InProgress => self.after(current, Act::Complete),
            // Those who keep no times say only where the sample is now.
            StepStatus::Pending => self
                .after(current, Act::Start)?
                .after(current, Act::Complete),
            step => Err(FieldErrors::one(
                "stage",
                format!("cannot go on: `{current}` is `{step}`; start it again or skip it"),
            )),
        }
    }

    /// The course with another status, to which a legal transition leads. Steps before it that are open are left out, and when
    /// it goes back, those from there on are to be done again.
    ///
    /// # Errors
    /// `status`, with the legal ones; `hold` when the sample would go on; `step` when one is in progress that would be passed.
    pub fn with_status(self, status: Status) -> Result<Self, FieldErrors> {
        if !self.status.can_become(status) {
            let allowed: Vec<_> = self.status.next().iter().map(|it| it.as_str()).collect();
            let allowed = match allowed.is_empty() {
                true => "nothing".to_owned(),
                false => allowed.join(", "),
            };
            let text = format!(
                "cannot go from `{}` to `{status}`; allowed: {allowed}",
                self.status
            );
            return Err(FieldErrors::one("status", text));
        }
        if self.is_held && status > self.status && status != Status::Archived {
            return Err(held());
        }
        let after = self.forced_to(status);
        for (stage, (before, now)) in Stage::ALL
            .into_iter()
            .zip(self.steps.iter().zip(after.steps))
        {
            if *before == StepStatus::InProgress && now != StepStatus::InProgress {
                let text =
                    format!("`{stage}` is in progress; complete it or say that it failed first");
                return Err(FieldErrors::one("step", text));
            }
        }
        Ok(after)
    }

    /// The course with any other status, as [`Course::with_status`] makes it, without asking whether it is legal.
    #[must_use]
    pub fn forced_to(self, status: Status) -> Self {
        let mut after = Self { status, ..self };
        let goes_back = status < self.status;
        for (stage, step) in Stage::ALL.into_iter().zip(after.steps.iter_mut()) {
            let (first, again) = match status {
                Status::Submitted => (Stage::SampleQc, Stage::SampleQc),
                // The quality of the sample is known; the library is made again.
                Status::Prep => (Stage::SampleQc, Stage::LibraryPrep),
                Status::Sequencing => (Stage::SequencingSetup, Stage::SequencingSetup),
                Status::Analysis => (Stage::Basecalling, Stage::Basecalling),
                Status::Completed | Status::Distributed => {
                    if step.is_open() {
                        *step = StepStatus::Skipped;
                    }
                    continue;
                }
                Status::Archived => continue,
            };
            if stage < first && step.is_open() {
                *step = StepStatus::Skipped;
            }
            if stage >= again && goes_back {
                *step = StepStatus::Pending;
            }
        }
        after
    }

    /// The course of a sample that comes from elsewhere at work, with this status and step: what lies before is not known here.
    #[must_use]
    pub fn landed(self, status: Status, stage: Stage) -> Self {
        let mut after = Self { status, ..self };
        for (it, step) in Stage::ALL.into_iter().zip(after.steps.iter_mut()) {
            if it < stage && step.is_open() {
                *step = StepStatus::Skipped;
            }
        }
        after
    }

    fn check_current(&self, stage: Stage) -> Result<(), FieldErrors> {
        match self.current() {
            Some(current) if current == stage => Ok(()),
            Some(current) => Err(FieldErrors::one(
                "stage",
                format!("is `{stage}`, but the sample is at `{current}`"),
            )),
            None => Err(FieldErrors::one(
                "stage",
                format!("is `{stage}`, but all steps are done"),
            )),
        }
    }

    /// The course with the status of the step `stage`.
    fn entered(self, stage: Stage) -> Result<Self, FieldErrors> {
        let status = stage.status();
        if self.status == status {
            return Ok(self);
        }
        if self.status < status && self.status.can_become(status) {
            return Ok(Self { status, ..self });
        }
        let text = format!(
            "is `{}`, and `{stage}` is done while it is `{status}`",
            self.status
        );
        Err(FieldErrors::one("status", text))
    }

    fn put(&mut self, stage: Stage, step: StepStatus) {
        for (it, place) in Stage::ALL.into_iter().zip(self.steps.iter_mut()) {
            if it == stage {
                *place = step;
            }
        }
    }
}

fn held() -> FieldErrors {
    FieldErrors::one("hold", "is set; release the sample first")
}

#[cfg(test)]
mod tests;
