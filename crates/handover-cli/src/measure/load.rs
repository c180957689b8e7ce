//! Finding the scenario that the command line names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::SHIPPED;
use super::settings::{self, Settings};
use crate::explain::{Program, Scenario, Threads, Work};
use crate::pipeline::LoadError;

/// Bytes a scenario file may have.
const MAX_BYTES: u64 = 1 << 20;

/// Does the command line name a scenario, and not a pipeline? What cannot be read is left to whoever reads pipelines.
pub fn is_scenario(path: &Path) -> bool {
    text(path).is_ok_and(|(text, _)| settings::is_scenario(&text))
}

/// The text, and its name in messages. A regular file goes before a shipped one of that name; what is no regular file is not read,
/// as it may be read only once.
fn text(path: &Path) -> Result<(String, String), LoadError> {
    let name = path.display().to_string();
    if !path.is_file() {
        let shipped = SHIPPED.into_iter().find(|(shipped, _)| *shipped == name);
        let unreadable = || LoadError::Unreadable(format!("the scenario {name} is no regular file"));
        return shipped.map(|(name, text)| (text.to_owned(), format!("{name}.toml (built in)"))).ok_or_else(unreadable);
    }
    let unreadable = |why: String| LoadError::Unreadable(format!("the scenario {name} {why}"));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(format!("has more than {MAX_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("is no UTF-8".into()))?;
    Ok((text, name))
}

/// What a scenario has to run.
pub(super) enum Loaded {
    /// Jobs, and how their owners synchronise.
    Jobs(Settings, Program),
    /// Threads that export, submit and import.
    Threads(Threads),
}

/// The scenario, and what there is to run.
pub(super) fn load(path: &Path) -> Result<(Scenario, Loaded), LoadError> {
    let (text, name) = text(path)?;
    let scenario = Scenario::parse(&text, &name).map_err(LoadError::Wrong)?;
    let loaded = match &scenario.work {
        Work::Jobs(variants) => match variants.as_slice() {
            [variant] => {
                let program = variant.program.clone();
                Loaded::Jobs(Settings::read(&text, &name, &program).map_err(LoadError::Wrong)?, program)
            }
            _ => return Err(LoadError::Unreadable(format!("{name} tries several sizes of a ring: a run has one"))),
        },
        Work::Threads(threads) => Loaded::Threads(threads.clone()),
    };
    Ok((scenario, loaded))
}
