//! What the audit service records and finds.

use sagabus::{Payload, Result, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{not_empty, ordered};

/// Source of these events.
const SOURCE: &str = "audit-service";

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// Id of the person or key, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// E-mail address of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The service through which it was done.
    pub service: String,
}

/// What sort of act an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Somebody proved who they are.
    Authentication,
    /// Somebody was allowed or refused.
    Authorization,
    /// Data were read.
    DataAccess,
    /// Data were changed.
    DataModification,
    /// The system did it by itself.
    System,
    /// Something that bears on security.
    Security,
}

/// How serious an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As expected.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
    /// Somebody must act now.
    Critical,
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was not done.
    Failure,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportType {
    /// Who did what.
    Activity,
    /// Refusals and attacks.
    Security,
    /// What a regulation asks for.
    Compliance,
    /// Times and counts.
    Performance,
    /// A choice of filters.
    Custom,
}

/// File format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// JSON.
    Json,
    /// Comma-separated values.
    Csv,
    /// PDF.
    Pdf,
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    /// When there is time.
    Low,
    /// Today.
    Medium,
    /// Soon.
    High,
    /// Now.
    Critical,
}

/// `audit.entry_recorded`: an entry was added to the trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryRecorded {
    /// Id of the entry in the trail.
    #[schemars(length(min = 1))]
    pub audit_id: String,
    /// What sort of act it was.
    pub category: Category,
    /// How serious it is.
    pub severity: Severity,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// Kind of thing it was done to.
    pub resource: String,
    /// Which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The event that the entry is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<String>,
    /// Leaf of the entry in the tree of the trail, in hexadecimal.
    pub entry_hash: String,
}

impl Payload for EntryRecorded {
    const TYPE: &'static str = "audit.entry_recorded";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.audit_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("auditId", &self.audit_id)
    }
}

/// `audit.access_denied`: somebody was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessDenied {
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// Kind of thing it was done to.
    pub resource: String,
    /// Which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// Why.
    pub reason: String,
}

impl Payload for AccessDenied {
    const TYPE: &'static str = "audit.access_denied";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        self.resource_id.clone()
    }
}

/// `audit.report_generated`: a report was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportGenerated {
    /// Id of the report.
    #[schemars(length(min = 1))]
    pub report_id: String,
    /// What it is about.
    pub report_type: ReportType,
    /// Its file format.
    pub format: ReportFormat,
    /// Start of the period.
    pub period_from: Timestamp,
    /// End of the period.
    pub period_to: Timestamp,
    /// How many records it holds.
    pub record_count: u64,
    /// Who asked for it.
    pub requested_by: String,
}

impl Payload for ReportGenerated {
    const TYPE: &'static str = "audit.report_generated";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.report_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("reportId", &self.report_id)?;
        ordered("periodFrom", self.period_from, "periodTo", self.period_to)
    }
}

/// `audit.alert_triggered`: an entry matched the condition of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertTriggered {
    /// Id of the alert.
    #[schemars(length(min = 1))]
    pub alert_id: String,
    /// Name of the alert.
    pub alert_name: String,
    /// How urgent it is.
    pub severity: AlertSeverity,
    /// Id of the entry that matched.
    pub matched_audit_id: String,
    /// Who is told.
    pub recipients: Vec<String>,
}

impl Payload for AlertTriggered {
    const TYPE: &'static str = "audit.alert_triggered";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.alert_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("alertId", &self.alert_id)
    }
}

/// `audit.retention_applied`: old records were removed by a retention policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionApplied {
    /// Id of the policy.
    #[schemars(length(min = 1))]
    pub policy_id: String,
    /// Which records it covers.
    pub dataset: String,
    /// How many were deleted.
    pub deleted: u64,
    /// How many were archived.
    pub archived: u64,
    /// Records before this time were covered.
    pub cutoff: Timestamp,
}

impl Payload for RetentionApplied {
    const TYPE: &'static str = "audit.retention_applied";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.policy_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("policyId", &self.policy_id)
    }
}

/// `audit.export_created`: the trail was exported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportCreated {
    /// Id of the export.
    #[schemars(length(min = 1))]
    pub export_id: String,
    /// Who asked for it.
    pub requested_by: String,
    /// How many entries it holds.
    pub record_count: u64,
    /// SHA-256 of the export, in hexadecimal.
    pub digest: String,
}

impl Payload for ExportCreated {
    const TYPE: &'static str = "audit.export_created";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.export_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("exportId", &self.export_id)
    }
}

/// `audit.integrity_verified`: the trail was checked and is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrityVerified {
    /// First entry that was checked.
    pub from_sequence: u64,
    /// Last entry that was checked.
    pub to_sequence: u64,
    /// Root of the tree over the entries that were checked, in hexadecimal.
    pub digest: String,
}

impl Payload for IntegrityVerified {
    const TYPE: &'static str = "audit.integrity_verified";
    const SOURCE: &'static str = SOURCE;

    fn check(&self) -> Result<()> {
        ordered(
            "fromSequence",
            self.from_sequence,
            "toSequence",
            self.to_sequence,
        )
    }
}

/// `audit.integrity_failed`: the trail is not what was made or signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrityFailed {
    /// First entry that was checked.
    pub from_sequence: u64,
    /// Last entry that was checked.
    pub to_sequence: u64,
    /// Root of the tree over the entries that were checked, in hexadecimal.
    pub digest: String,
    /// First entry that is not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad_sequence: Option<u64>,
}

impl Payload for IntegrityFailed {
    const TYPE: &'static str = "audit.integrity_failed";
    const SOURCE: &'static str = SOURCE;

    fn check(&self) -> Result<()> {
        ordered(
            "fromSequence",
            self.from_sequence,
            "toSequence",
            self.to_sequence,
        )
    }
}
