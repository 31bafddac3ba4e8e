//! `sagabus schema show`: the JSON Schema of an event type.

use clap::Args;
use sagabus::schema::Version;

use super::Failure;
use crate::cli::Output;
use crate::wire;

/// Print the JSON Schema of an event type.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The event type, such as `sample.created`
    event_type: String,
    /// The version, such as `1.0`; the newest unless it is given
    #[arg(long)]
    version: Option<Version>,
    /// `json` prints all versions with what is known of them
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

impl Show {
    pub(super) fn run(self) -> Result<(), Failure> {
        let registry = super::registry()?;
        let versions = registry.versions(&self.event_type);
        if versions.is_empty() {
            return Err(self.unknown(&registry.types()));
        }
        if self.output == Output::Json {
            if self.version.is_some() {
                return Err(Failure::new(
                    "`-o json` prints all versions; leave out `--version`",
                ));
            }
            let all = wire::event_type(&registry, &self.event_type).unwrap_or_default();
            return super::print_json(&all);
        }
        let names: Vec<String> = versions.iter().map(|it| it.version.to_string()).collect();
        let wanted = versions
            .into_iter()
            .rfind(|it| self.version.is_none_or(|version| version == it.version));
        let Some(wanted) = wanted else {
            return Err(Failure::new(format!(
                "`{}` has the versions {}",
                self.event_type,
                names.join(", ")
            )));
        };
        match wanted.schema {
            Some(schema) => super::print_json(&schema),
            None => Err(Failure::new(format!(
                "version {} of `{}` has no JSON Schema",
                wanted.version, self.event_type
            ))),
        }
    }

    fn unknown(&self, types: &[&str]) -> Failure {
        let near = types
            .iter()
            .map(|it| (strsim::jaro_winkler(it, &self.event_type), it))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        let hint = near.map_or_else(
            || "`sagabus schema list` has them all".to_owned(),
            |(_, it)| format!("did you mean `{it}`?"),
        );
        let event_type = self.event_type.escape_debug();
        Failure::new(format!("there is no event type `{event_type}`; {hint}"))
    }
}
