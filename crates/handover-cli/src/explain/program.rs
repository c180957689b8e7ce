//! A scenario that was checked: who does what, on what, for how long.

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Short: "S8".
    pub name: String,
    /// What it shows.
    pub title: String,
    /// The unit of its durations, for people. Empty: none.
    pub unit: String,
    /// What happens in it.
    pub work: Work,
}

/// What happens in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Jobs on engines. Several programs if a ring has several sizes to try.
    Jobs(Vec<Variant>),
    /// Threads that export, submit and import.
    Threads(Threads),
}

/// One of the programs of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// What sets it apart: "ring of 2". Empty if there is only one.
    pub label: String,
    /// The program.
    pub program: Program,
}

/// Jobs, in the order of their submission. Every index is in range, the sum of all durations is a `u64`, and all frames together have
/// at most a million jobs and four million accesses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// In-order queues, by name.
    pub engines: Vec<String>,
    /// Shared buffers.
    pub buffers: Vec<Buffer>,
    /// Who submits, by name. For a driver it is an open file.
    pub owners: Vec<String>,
    /// Groups of jobs that order themselves, by name.
    pub groups: Vec<String>,
    /// The jobs of one frame.
    pub jobs: Vec<Job>,
    /// How often the jobs are submitted, one frame after the other.
    pub frames: u32,
    /// How long it takes to pass a fence to another owner by hand: a message, a merge, a wake-up.
    pub passing: u64,
}

/// A shared buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffer {
    /// Its name.
    pub name: String,
    /// Its disjoint parts, by name; at most 64. Empty: one, the whole.
    pub regions: Vec<String>,
    /// How many there are of it: frame n uses number n modulo `ring`. At least 1.
    pub ring: u32,
}

impl Buffer {
    /// A bit for each region; one bit if it has none.
    pub fn whole(&self) -> u64 {
        match self.regions.len() {
            0 | 1 => 1,
            count if count >= 64 => u64::MAX,
            count => (1 << count) - 1,
        }
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Where it runs: index into [`Program::engines`].
    pub engine: usize,
    /// Who submits it: index into [`Program::owners`].
    pub owner: usize,
    /// Its group: index into [`Program::groups`].
    pub group: Option<usize>,
    /// How long it runs.
    pub duration: u64,
    /// What it touches.
    pub accesses: Vec<Access>,
    /// What it truly depends on: indices of earlier jobs of the same frame. `None`: what its accesses say.
    pub after: Option<Vec<usize>>,
}

/// One access of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Index into [`Program::buffers`].
    pub buffer: usize,
    /// The regions, as bits: [`Buffer::whole`], or one of them.
    pub regions: u64,
    /// Does it write?
    pub writes: bool,
}

/// Threads that each export the fences of one buffer, submit a read that waits for them, and import its fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threads {
    /// How many threads; each number is tried.
    pub counts: Vec<u32>,
    /// How long the write takes that came before.
    pub write: u64,
    /// How long each read takes.
    pub read: u64,
    /// How many random interleavings are tried.
    pub interleavings: u32,
    /// Seed of the random numbers.
    pub seed: u64,
}
