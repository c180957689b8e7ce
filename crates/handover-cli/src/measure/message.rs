//! What the parent and its workers tell each other: JSON over a worker's control socket, descriptors beside it.

use serde::{Deserialize, Serialize};

/// A timeline that some worker writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// Point n is the n-th job of this engine, from 1.
    Engine(u32),
    /// The releases of this surface, by whoever stands at the border.
    Release(u32),
}

/// How a worker's jobs synchronise; see [`handover::queue::Habits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sync {
    #[default]
    Implicit,
    Explicit,
}

/// As [`handover::queue::Policy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Policy {
    #[default]
    Honest,
    AlwaysWrite,
    SkipOwnOwner,
    None,
}

/// What a worker is told first. The status page comes with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    /// The owner whose jobs it runs.
    pub(super) name: String,
    pub(super) sync: Sync,
    pub(super) policy: Policy,
    /// Engines, by number and name: a queue and a timeline each.
    pub(super) engines: Vec<(u32, String)>,
    /// Surfaces whose releases it says.
    pub(super) releases: Vec<u32>,
    /// Surfaces and timelines of others that will follow.
    pub(super) surfaces: u32,
    pub(super) lines: u32,
    /// When every wait is given up: nanoseconds on `CLOCK_MONOTONIC`.
    pub(super) deadline: u64,
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Command {
    /// A surface: the message of its handle. Pixels and control file come with it.
    Surface { number: u32, handle: Vec<u8> },
    /// The timeline whose point 1 holds every job back. Its descriptor comes with it.
    Gate,
    /// A timeline of another worker. Its descriptor comes with it.
    Line(Line),
    /// A job. Answered by [`Event::Submitted`].
    Submit(Submit),
    /// The fence of a job goes into the reservation of a surface. Answered by [`Event::Did`].
    Import { of: After, on: Touch },
    /// What is done to a surface, and these jobs, become a point of its releases. Answered by [`Event::Did`].
    Release { export: Vec<Touch>, after: Vec<After>, surface: u32, point: u64 },
    /// A thread that exports, submits a read and imports. Answered by [`Event::Did`] when it stands ready for the gate.
    Thread(Thread),
    /// There is no more to submit: wait for all, and tell.
    Finish,
    /// Everybody has told: nobody waits for anybody's timelines any more.
    Leave,
}

/// Cells of a surface, as a bit mask, and what is done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Touch {
    pub(super) surface: u32,
    /// All ones: the whole.
    pub(super) region: u64,
    pub(super) writes: bool,
}

/// What is waited for besides the reservations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum After {
    /// A job of the same worker.
    Own(u32),
    /// A point of another worker's timeline.
    Point(Line, u64),
    /// What such an access would wait for at this moment.
    Export(Touch),
}

/// A job to submit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Submit {
    /// Its number in the graph.
    pub(super) job: u32,
    pub(super) engine: u32,
    /// What it says it touches.
    pub(super) set: Vec<Touch>,
    pub(super) after: Vec<After>,
    /// What it truly reads, cell by cell, where it is certain whose pixels it must find.
    pub(super) reads: Vec<Look>,
    /// What it truly writes.
    pub(super) writes: Vec<Drawn>,
    /// In nanoseconds.
    pub(super) duration: u64,
}

/// A cell that a job looks at when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Look {
    pub(super) surface: u32,
    pub(super) cell: u32,
    /// The mark that it must find.
    pub(super) expected: u32,
    /// Does it look again when it ends?
    pub(super) at_end: bool,
}

/// Cells of a surface that a job draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drawn {
    pub(super) surface: u32,
    pub(super) cells: u64,
    /// Those that must be its own when it ends.
    pub(super) checked: u64,
}

/// A reader thread of its own queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Thread {
    pub(super) number: u32,
    pub(super) surface: u32,
    /// Does it export as a writer, import as a writer?
    pub(super) export_writes: bool,
    pub(super) import_writes: bool,
    /// In nanoseconds.
    pub(super) duration: u64,
}

/// What a worker tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Event {
    /// A timeline of its own. Its descriptor comes with it.
    Line(Line),
    /// Surfaces, queues and timelines stand.
    Ready,
    /// The job is submitted, as this place of this fence context.
    Submitted { at: u64, context: u64, seq: u64 },
    /// Done.
    Did,
    /// How a job went.
    Ran(Ran),
    /// It has told all, and stays until it may leave.
    Done,
    /// It could not do its part.
    Failed(String),
}

/// How a job went. Times in nanoseconds on `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ran {
    pub(super) job: u32,
    pub(super) submitted: u64,
    pub(super) started: u64,
    pub(super) ended: u64,
    pub(super) released: u64,
    /// The first of them, at most [`MAX_HAZARDS`].
    pub(super) hazards: Vec<Seen>,
    /// How many more there were.
    pub(super) more_hazards: usize,
    /// Why it did not run, or failed.
    pub(super) failed: Option<String>,
}

/// Pixels that were not what they should have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) surface: u32,
    pub(super) cell: u32,
    /// Did the job write them itself, and somebody else too?
    pub(super) own: bool,
    /// At its end, not at its start?
    pub(super) at_end: bool,
    /// Whose pixels they should be; 0 is nobody's, else a job's number and 1.
    pub(super) expected: u32,
    /// Whose they were, at most eight. With [`UNFINISHED`] from a job that was not done.
    pub(super) found: Vec<u32>,
}

/// What one job tells of wrong pixels fits a message.
pub(super) const MAX_HAZARDS: usize = 64;

/// In a pixel: its job has begun and not yet drawn here.
pub(super) const UNFINISHED: u32 = 1 << 31;

/// What a job's pixels say.
pub(super) fn mark(job: u32) -> u32 {
    job.wrapping_add(1) & !UNFINISHED
}
