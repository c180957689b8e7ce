//! Finding the scenario that the command line names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::settings::{self, Settings};
use crate::explain::{Program, Scenario, Threads, Work, shipped};
use crate::pipeline::LoadError;

/// Bytes a scenario file may have.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a scenario, and its name in messages.
#[derive(Debug, Clone)]
pub struct Text {
    name: String,
    text: String,
}

/// The scenario that the command line names. `None`: it names a pipeline, or what cannot be read, which is left to whoever reads
/// pipelines. It is read once: a second look might find another file.
///
/// A regular file goes before a shipped scenario of that name; what is no regular file is not read, as it may be read only once.
pub fn find(path: &Path) -> Option<Text> {
    let name = path.display().to_string();
    let found = if path.is_file() {
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).ok()?;
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= MAX_BYTES)?;
        Text { name, text }
    } else {
        let (name, text) = shipped(&name)?;
        Text { name: format!("{name}.toml (built in)"), text: text.to_owned() }
    };
    settings::is_scenario(&found.text).then_some(found)
}

/// What a scenario has to run.
pub(super) enum Loaded {
    /// Jobs, and how their owners synchronise.
    Jobs(Settings, Program),
    /// Threads that export, submit and import.
    Threads(Threads),
}

/// The scenario, and what there is to run.
pub(super) fn load(found: &Text) -> Result<(Scenario, Loaded), LoadError> {
    let Text { name, text } = found;
    let scenario = Scenario::parse(text, name).map_err(LoadError::Wrong)?;
    let loaded = match &scenario.work {
        Work::Jobs(variants) => match variants.as_slice() {
            [variant] => {
                let program = variant.program.clone();
                Loaded::Jobs(Settings::read(text, name, &program).map_err(LoadError::Wrong)?, program)
            }
            _ => return Err(LoadError::Unreadable(format!("{name} tries several sizes of a ring: a run has one"))),
        },
        Work::Threads(threads) => Loaded::Threads(threads.clone()),
    };
    Ok((scenario, loaded))
}
