//! Finding the scenario that the command line names: a file of one, a shipped one, or the report of a run.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::program::Scenario;
use super::shipped::{names, shipped};
use super::{file, resolve, runs};
use crate::pipeline::file::read;
use crate::pipeline::{self, Diagnostics, LoadError};

/// Bytes a scenario file may have, and the report of a run, which is longer for what it says of every step.
const MAX_BYTES: usize = 4 << 20;
const MAX_REPORT: usize = 64 << 20;
/// Bytes that tell a recording of the kernel's events.
const HEAD: usize = 16 << 10;

impl Scenario {
    /// Reads and checks `text`; `file` is its name in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it. Of syntax errors, unknown keys and wrong types the first.
    pub fn parse(text: &str, file: &str) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::new(text, file);
        let Some(raw) = read::<file::File>(text, &mut diagnostics) else { return Err(diagnostics) };
        let scenario = resolve::resolve(&raw, &mut diagnostics);
        if diagnostics.is_empty() { Ok(scenario) } else { Err(diagnostics) }
    }

    /// The scenario in file `path`; a shipped one if it is called so (`s08`, `tiles`) and no regular file of that name is there. A
    /// file may be the report of a run instead, which its content tells: then its jobs take as long as they did.
    ///
    /// # Errors
    /// [`LoadError`]: the file cannot be read, has more than 4 MiB (a report: 64 MiB) or is no UTF-8, or is wrong. A pipeline of
    /// participants, and a recording of the kernel's events, are refused by name.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let name = path.display().to_string();
        if !path.is_file() {
            if let Some((shipped, text)) = shipped(&name) {
                return Self::parse(text, &format!("{shipped}.toml (built in)")).map_err(LoadError::Wrong);
            }
            if pipeline::SHIPPED.iter().any(|(shipped, _)| *shipped == name) {
                return Err(participants(&name));
            }
        }
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_REPORT as u64 + 1).read_to_end(&mut bytes)).map_err(
            |error| {
                let shipped = names();
                LoadError::Unreadable(format!(
                    "the scenario {name} cannot be read: {error}; shipped ones are called {shipped}"
                ))
            },
        )?;
        if is_recording(&bytes) {
            return Err(LoadError::Unreadable(format!(
                "{name} is a recording of the kernel's events: explain does not read those yet\n  what helps: the report.json of a `handover run`"
            )));
        }
        let is_report = bytes.trim_ascii_start().starts_with(b"{");
        let most = if is_report { MAX_REPORT } else { MAX_BYTES };
        if bytes.len() > most {
            let what = if is_report { "report" } else { "scenario" };
            return Err(LoadError::Unreadable(format!("the {what} {name} has more than {most} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            LoadError::Unreadable(format!("the scenario {name} is no UTF-8 from byte {at} on"))
        })?;
        if is_report {
            return runs::read(&text, &name);
        }
        if is_pipeline(&text) {
            return Err(participants(&name));
        }
        Self::parse(&text, &name).map_err(LoadError::Wrong)
    }
}

/// Nobody knows how long participants work before they did.
fn participants(name: &str) -> LoadError {
    LoadError::Unreadable(format!(
        "{name} is a pipeline of participants: how long they work is not known before they ran\n  what helps: `handover run {name}`, then `handover explain out/report.json`"
    ))
}

fn is_pipeline(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Keys {
        participant: Option<IgnoredAny>,
        job: Option<IgnoredAny>,
    }
    toml::from_str::<Keys>(text).is_ok_and(|keys| keys.participant.is_some() && keys.job.is_none())
}

/// Text of tracefs (`Documentation/trace/ftrace.rst`) or of trace-cmd, by its first lines.
fn is_recording(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(bytes.get(..HEAD).unwrap_or(bytes));
    head.starts_with("# tracer:") || head.lines().any(|line| line.contains(": dma_fence_") && line.contains("driver="))
}
