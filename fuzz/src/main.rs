//! Runs one target with libFuzzer: `--target=NAME` says which, all else is libFuzzer's.

#![no_main]

mod headers;
mod settings;

/// A file of the program. By a macro, since rustfmt would look for its tests in the wrong place.
macro_rules! of_the_program {
    ($name:ident, $path:literal) => {
        #[path = $path]
        #[allow(dead_code)]
        mod $name;
    };
}

// All that the settings of the program need of the audit service; the crate itself would bring a server along.
of_the_program!(audit_settings, "../../crates/audit-service/src/settings.rs");
extern crate self as audit_service;
use audit_settings::Settings;

// The same of the AI service.
of_the_program!(ai_settings, "../../crates/ai-service/src/settings.rs");
extern crate self as ai_service;
use ai_settings::{AiSettings, ModelUrl, ReadBy};

of_the_program!(config, "../../crates/sagabus-server/src/config.rs");
of_the_program!(
    header_text,
    "../../crates/sagabus-server/src/http/cloud_events/header_text.rs"
);

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sagabus::fuzzing::{TARGETS, Target};

/// Parsers of the program, which is no library: their files are taken in here.
const OF_THE_PROGRAM: [Target; 2] = [
    Target {
        name: "settings",
        run: settings::settings,
    },
    Target {
        name: "headers",
        run: headers::headers,
    },
];

static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(
    init: {
        let run = chosen().unwrap_or_else(|| {
            let names: Vec<&str> = TARGETS.iter().chain(&OF_THE_PROGRAM).map(|it| it.name).collect();
            eprintln!("--target must be one of {}", names.join(", "));
            std::process::exit(2)
        });
        let _first = CHOSEN.set(run);
    },
    |bytes: &[u8]| {
        if let Some(run) = CHOSEN.get() {
            run(bytes);
        }
    }
);

fn chosen() -> Option<fn(&[u8])> {
    let name = std::env::args().find_map(|it| Some(it.strip_prefix("--target=")?.to_owned()))?;
    let found = TARGETS
        .iter()
        .chain(&OF_THE_PROGRAM)
        .find(|it| it.name == name);
    found.map(|it| it.run)
}
