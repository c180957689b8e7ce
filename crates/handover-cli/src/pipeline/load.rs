//! Finding the pipeline that the command line names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Diagnostics, Pipeline, SHIPPED};

/// Bytes a pipeline file may have; 32 participants need about 8 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// Why there is no pipeline to run.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read as text. What was tried, and why not.
    Unreadable(String),
    /// The file was read, and is wrong.
    Wrong(Diagnostics),
}

impl LoadError {
    /// As text for people, with colours for a terminal if asked.
    pub fn render(&self, colours: bool) -> String {
        match self {
            Self::Unreadable(text) => format!("error: {text}"),
            Self::Wrong(diagnostics) => diagnostics.render(colours),
        }
    }
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for LoadError {}

impl Pipeline {
    /// The pipeline in file `path`; a shipped one if it is called so (`fanout`) and no regular file of that name is there;
    /// the default one for `None`, whatever lies in the working directory.
    ///
    /// # Errors
    /// [`LoadError`]: the file cannot be read, has more than 1 MiB or is no UTF-8, or is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, LoadError> {
        let [default, ..] = SHIPPED;
        let Some(path) = path else { return Self::shipped(default) };
        let name = path.display().to_string();
        if let Some(shipped) = SHIPPED.into_iter().find(|(shipped, _)| *shipped == name).filter(|_| !path.is_file()) {
            return Self::shipped(shipped);
        }
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(|error| {
            let shipped = SHIPPED.map(|(name, _)| name).join(", ");
            LoadError::Unreadable(format!(
                "the pipeline {name} cannot be read: {error}; shipped ones are called {shipped}"
            ))
        })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(LoadError::Unreadable(format!("the pipeline {name} has more than {MAX_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            LoadError::Unreadable(format!("the pipeline {name} is no UTF-8 from byte {at} on"))
        })?;
        Self::parse(&text, &name).map_err(LoadError::Wrong)
    }

    fn shipped((name, text): (&str, &str)) -> Result<Self, LoadError> {
        Self::parse(text, &format!("{name}.toml (built in)")).map_err(LoadError::Wrong)
    }
}
