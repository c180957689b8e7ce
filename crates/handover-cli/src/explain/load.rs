//! Finding the scenario that the command line names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::program::Scenario;
use super::{SHIPPED, file, resolve};
use crate::pipeline::file::read;
use crate::pipeline::{Diagnostics, LoadError};

/// Bytes a scenario file may have.
const MAX_BYTES: u64 = 4 << 20;

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

    /// The scenario in file `path`; a shipped one if it is called so (`s08`) and no regular file of that name is there.
    ///
    /// # Errors
    /// [`LoadError`]: the file cannot be read, has more than 4 MiB or is no UTF-8, or is wrong.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let name = path.display().to_string();
        if let Some((shipped, text)) =
            SHIPPED.into_iter().find(|(shipped, _)| *shipped == name).filter(|_| !path.is_file())
        {
            return Self::parse(text, &format!("{shipped}.toml (built in)")).map_err(LoadError::Wrong);
        }
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(|error| {
            let shipped = SHIPPED.map(|(name, _)| name).join(", ");
            LoadError::Unreadable(format!(
                "the scenario {name} cannot be read: {error}; shipped ones are called {shipped}"
            ))
        })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(LoadError::Unreadable(format!("the scenario {name} has more than {MAX_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            LoadError::Unreadable(format!("the scenario {name} is no UTF-8 from byte {at} on"))
        })?;
        Self::parse(&text, &name).map_err(LoadError::Wrong)
    }
}
