//! `handover decode`: what the numbers mean that devices and buffers carry.
//!
//! One file a kind of number. Each says what a number means, and where it means nothing, which field of it is wrong.

mod fourcc;
pub mod metadata;
mod modifier;

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use crate::columns::printable;
use crate::run::REFUSED;

/// What is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Format modifiers: `0x…`, our words, names of `drm_fourcc.h` or of libdrm.
    Modifier,
    /// Codes of formats: four characters, a format's name, or `0x…`.
    Fourcc,
}

/// What the command line asks for.
#[derive(Debug)]
pub struct Arguments {
    /// The kind of the values.
    pub what: What,
    /// The values, as they were typed.
    pub values: Vec<String>,
    /// JSON instead of text.
    pub json: bool,
}

/// One value, decoded.
struct Decoded {
    json: Value,
    text: String,
    /// Why it, or a part of it, means nothing.
    refusal: Option<String>,
}

impl Decoded {
    /// Of a text that is no value at all.
    fn unread(what: &str, text: &str, error: &dyn std::fmt::Display) -> Self {
        let refusal = error.to_string();
        Self { json: serde_json::json!({ what: text, "error": refusal }), text: String::new(), refusal: Some(refusal) }
    }
}

/// Decodes every value and shows it on standard output; what means nothing is said on standard error.
pub fn decode(arguments: &Arguments) -> ExitCode {
    let one = match arguments.what {
        What::Modifier => modifier::decode,
        What::Fourcc => fourcc::decode,
    };
    let decoded: Vec<Decoded> = arguments.values.iter().map(|value| one(value)).collect();
    let json = arguments.json.then(|| decoded.iter().map(|one| one.json.clone()).collect());
    show(&decoded, json)
}

/// Shows it as JSON if there is some, else as text; what means nothing is said on standard error.
fn show(decoded: &[Decoded], json: Option<Value>) -> ExitCode {
    let text = match json {
        Some(json) => format!("{json:#}\n"),
        None => {
            decoded.iter().map(|one| one.text.as_str()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
        }
    };
    // Whoever closed the pipe has seen enough.
    let _ = write!(anstream::stdout(), "{text}");
    let refusals: Vec<_> = decoded.iter().filter_map(|one| one.refusal.as_ref()).collect();
    for refusal in &refusals {
        anstream::eprintln!("error: {}", printable(refusal));
    }
    if refusals.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) }
}
