//! The file as it stands: keys and types right, nothing else known.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::diagnostics::{Diagnostic, Diagnostics};

/// Every value keeps where it stands, for messages.
pub(crate) type At<T> = Spanned<T>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: At<String>,
    pub(super) frames: Option<At<i64>>,
    pub(super) fps: Option<At<toml::Value>>,
    #[serde(default)]
    pub(super) participant: Vec<At<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: At<String>,
    pub(super) kind: At<String>,
    pub(super) device: Option<At<String>>,
    pub(super) gpu: Option<At<String>>,
    pub(super) reads: Option<At<Vec<At<String>>>>,
    pub(super) extent: Option<At<Vec<i64>>>,
    pub(super) formats: Option<At<Vec<At<String>>>>,
    pub(super) export: Option<At<Vec<At<String>>>>,
    pub(super) surfaces: Option<At<i64>>,
    pub(super) mode: Option<At<String>>,
    pub(super) bitrate: Option<At<i64>>,
    pub(super) file: Option<At<String>>,
    pub(super) hold_ms: Option<At<i64>>,
    pub(super) copies: Option<At<bool>>,
    pub(super) index: Option<At<i64>>,
    pub(super) node: Option<At<String>>,
    pub(super) linger_ms: Option<At<i64>>,
    pub(super) title: Option<At<String>>,
    pub(super) command: Option<At<Vec<String>>>,
    pub(super) access: Option<At<String>>,
    pub(super) version: Option<At<i64>>,
}

/// The file, or one diagnostic.
pub(crate) fn read<File: DeserializeOwned>(text: &str, diagnostics: &mut Diagnostics) -> Option<File> {
    match toml::from_str(text) {
        Ok(file) => Some(file),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            // Serde speaks of fields; the file has keys.
            let message = error.message().trim().replace("field", "key");
            let (title, allowed) = match message.split_once(", expected ") {
                Some((title, allowed)) => (title, Some(allowed)),
                None => (message.as_str(), None),
            };
            let allowed = allowed.map(|allowed| {
                let allowed = allowed.strip_prefix("one of ").unwrap_or(allowed);
                format!("allowed: {}", allowed.replace("i64", "an integer").replace("a sequence", "an array"))
            });
            diagnostics.push(Diagnostic::new(title, span, "").help_maybe(allowed));
            None
        }
    }
}
