//! What can be wrong with a video or a picture.

use std::fmt;
use std::io;

/// What a caller can decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The file cannot be opened, read or written.
    Unreadable,
    /// The file has no bytes.
    Empty,
    /// The file ends before what it announces.
    Truncated,
    /// The file contradicts its own format.
    Malformed,
    /// The file may be right, but holds nothing this program can show, or more than it takes.
    Unsupported,
    /// The codec refused or failed.
    Codec,
}

/// What is wrong, with which file or stream, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    subject: String,
    found: String,
    help: String,
}

/// The result of everything in [`media`](crate::media).
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error about `subject` (a file name, "the encoder"), which holds or did what `found` says.
    pub fn new(kind: Kind, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { kind, subject: subject.into(), found: found.into(), help: String::new() }
    }

    /// The system refused an operation on a file.
    pub fn unreadable(subject: impl Into<String>, error: &io::Error) -> Self {
        Self::new(Kind::Unreadable, subject, error.to_string())
    }

    /// Says what would help.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = text.into();
        self
    }

    /// The kind, to match on.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, subject, found, help } = self;
        let kind = match kind {
            Kind::Unreadable => "cannot be used",
            Kind::Empty => "is empty",
            Kind::Truncated => "is truncated",
            Kind::Malformed => "is malformed",
            Kind::Unsupported => "is unsupported",
            Kind::Codec => "failed",
        };
        write!(f, "{subject} {kind}: {found}")?;
        if !help.is_empty() {
            write!(f, "; what helps: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
