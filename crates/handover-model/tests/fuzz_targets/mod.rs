//! What is fuzzed: one function a kind of input. `cargo test` replays the corpora through them, `cargo xtask fuzz` looks for more.
//!
//! Each takes any bytes at all, and names the property that does not hold. A panic is a finding too.

mod block;
mod input;
mod layout;
mod modifier;
mod reader;
mod word;

/// One kind of input.
pub(super) struct Target {
    /// Its name, and that of its corpus.
    pub(super) name: &'static str,
    /// What is tried, and which properties hold.
    pub(super) about: &'static str,
    /// Tries one input.
    pub(super) run: fn(&[u8]) -> Result<(), String>,
}

/// All of them.
pub(super) const TARGETS: [Target; 5] = [
    Target {
        name: "modifier",
        about: "a modifier and a text: what parses is the number it was, what is shown reads back",
        run: modifier::run,
    },
    Target {
        name: "word",
        about: "a tiling word of any level and driver: what parses is the word it was",
        run: word::run,
    },
    Target {
        name: "block",
        about: "a metadata block of any level: decoded, encoded, decoded is the same",
        run: block::run,
    },
    Target {
        name: "layout",
        about: "a modifier, its parameters and an image: every address is inside, no two elements share a byte",
        run: layout::run,
    },
    Target {
        name: "metadata-reader",
        about: "word, block and reader: DCC that is kept lies in the buffer, a modifier that is given parses",
        run: reader::run,
    },
];

/// Holds, or the text says what does not.
fn holds(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}

/// What is to be read can be written, and says something.
fn said(what: &dyn std::fmt::Display) -> Result<(), String> {
    holds(!what.to_string().is_empty(), || "an empty text".into())
}
