//! `handover inspect`: who holds which buffer.
//!
//! # Contract
//!
//! It looks and changes nothing: no buffer is written or waited for, no process is stopped. A buffer is known by its kind and
//! inode, never by the number of a descriptor. What cannot be seen is said, with the reason and what would help; it is never
//! an error, and neither is a process that ends meanwhile. Names that others chose are shown without control characters.

mod blind;
mod bufinfo;
mod describe;
mod growth;
mod look;
mod proc;
mod report;
mod table;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use signal_hook::consts::SIGINT;

pub use blind::Unseen;
pub use bufinfo::Fence;
pub use describe::{Description, Picture};
pub use growth::Change;
pub use report::{Buffer, Holder, Process, Report, Totals};

use crate::run::{FAILED, SIGNALLED};
use crate::signals::Signals;
use growth::Growth;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// Only buffers that one of these processes holds. Empty: all.
    pub pids: Vec<u32>,
    /// Look again and again, so far apart.
    pub watch: Option<Duration>,
    /// One JSON object a look.
    pub json: bool,
}

/// What kind of buffer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A buffer of the kernel's.
    DmaBuf,
    /// Pixels of the software backend.
    Pixels,
    /// The control file of a pool of the software backend: reservations and metadata.
    Control,
}

impl Kind {
    /// A word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::DmaBuf => "dma-buf",
            Self::Pixels => "pixels",
            Self::Control => "control",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Which buffer. All dma-bufs lie in one file system of the kernel's, all memfds in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) inode: u64,
}

/// Looks, once or until a signal comes. Results go to standard output.
pub fn inspect(arguments: &Arguments) -> ExitCode {
    for pid in &arguments.pids {
        if let Some(why) = look::refusal(*pid) {
            anstream::eprintln!("error: process {pid} cannot be looked into: {why}");
            return ExitCode::from(FAILED);
        }
    }
    let done = match arguments.watch {
        None => once(arguments).map(|()| ExitCode::SUCCESS),
        Some(interval) => watch(arguments, interval),
    };
    done.unwrap_or_else(|message| {
        anstream::eprintln!("error: {message}");
        ExitCode::from(FAILED)
    })
}

fn report(arguments: &Arguments, growth: &mut Growth) -> Result<Report, String> {
    let look = look::look().map_err(|error| format!("/proc cannot be read: {error}"))?;
    let mut report = Report::of(look, &arguments.pids);
    growth.note(&mut report);
    Ok(report)
}

fn once(arguments: &Arguments) -> Result<(), String> {
    let report = report(arguments, &mut Growth::default())?;
    // Whoever closed the pipe has seen enough.
    let _ = if arguments.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| format!("the report: {error}"))?;
        writeln!(std::io::stdout(), "{json}")
    } else {
        write!(anstream::stdout(), "{}", table::whole(&report))
    };
    Ok(())
}

fn watch(arguments: &Arguments, interval: Duration) -> Result<ExitCode, String> {
    let mut signals = Signals::register().map_err(|error| format!("signals cannot be heard: {error}"))?;
    let redraw = !arguments.json && std::io::stdout().is_terminal();
    let mut growth = Growth::default();
    let mut next = Instant::now();
    loop {
        let report = report(arguments, &mut growth)?;
        let text = if arguments.json {
            serde_json::to_string(&report).map_err(|error| format!("the report: {error}"))? + "\n"
        } else if redraw {
            table::screen(&report, interval)
        } else {
            table::lines(&report)
        };
        let mut out = anstream::stdout();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            // Whoever closed the pipe has seen enough.
            return Ok(ExitCode::SUCCESS);
        }
        // A look may take longer than the interval; then the next one begins an interval later all the same.
        next = (next + interval).max(Instant::now());
        loop {
            if let Some(signal) = signals.take().first() {
                let number = u8::try_from(*signal).unwrap_or(SIGINT as u8);
                return Ok(ExitCode::from(SIGNALLED.saturating_add(number)));
            }
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            signals.sleep(left);
        }
    }
}
