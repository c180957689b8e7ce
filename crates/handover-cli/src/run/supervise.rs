//! The parent: starts every participant, hears them, and sees to it that all of them end.
//!
//! # Contract
//!
//! - A participant that dies or fails, and a signal, ask all others to stop: those that make frames make no more, the
//!   others finish what reached them. [`GRACE`] later whoever is left is killed.
//! - A second signal kills at once.
//! - When it returns, every process it started is collected.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use handover::Stage;
use handover::transport::Channel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Serialize, Serializer};

use super::jobs;
use super::plan::Plan;
use super::process::{End, Process};
use super::progress::Progress;
use super::record::Record;
use crate::participant::event::Event;
use crate::participant::job::FilePath;
use crate::signals::Signals;

/// How long the others may take to finish once somebody died. Two seconds in all are promised.
pub const GRACE: Duration = Duration::from_millis(1500);

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// How often a process is looked for that has hung up and not yet exited.
const SOON: Duration = Duration::from_millis(2);

/// Events of one participant that are heard before the others get their turn.
const AT_ONCE: usize = 64;

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What came first and ended the run early. `None`: every process came to its end by itself.
    pub cause: Option<Cause>,
    /// Who died or failed, the first one first.
    pub dead: Vec<Death>,
    /// The first signal that came.
    pub signal: Option<i32>,
    /// Who had to be killed in the end.
    pub killed: Vec<String>,
    /// From the first death until no process was left.
    pub after_death: Option<Duration>,
    /// Rounds of frames that each participant had noted at its end, in the order of the plan.
    pub frames: Vec<u64>,
}

/// What ended a run early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A participant died or failed.
    Death,
    /// A signal to the parent.
    Signal(i32),
}

/// One participant that did not come to a good end by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Death {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// What happened, in words.
    pub how: String,
    /// Where it was: in the report, one of the eight words.
    #[serde(serialize_with = "word")]
    pub stage: Stage,
    /// Rounds of frames it had done.
    pub frames: u64,
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, pid, how, stage, frames } = self;
        write!(f, "{name} (process {pid}) {how}, at stage {stage}, after {frames} frames")
    }
}

fn word<S: Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stage.word())
}

/// Runs the plan to its end.
///
/// # Errors
/// In words: something could not be started. What had started is gone again.
pub(super) fn supervise(
    plan: &Plan,
    input: Option<&FilePath>,
    out: &FilePath,
    record: &mut Record,
    progress: &Progress,
) -> Result<Outcome, String> {
    let signals = Signals::register().map_err(|error| format!("signals cannot be heard: {error}"))?;
    let processes = start(plan, input, out)?;
    let mut supervisor = Supervisor {
        processes,
        signals,
        outcome: Outcome::default(),
        kill_at: None,
        died_at: None,
        told: Vec::new(),
        progress,
    };
    supervisor.watch(plan, record);
    let Supervisor { processes, outcome, died_at, .. } = supervisor;
    let frames = processes.iter().map(|process| process.status().1).collect();
    Ok(Outcome { after_death: died_at.map(|at| at.elapsed()), frames, ..outcome })
}

/// Every process with its job. Each stream is a pair of sockets of which the parent keeps neither.
fn start(plan: &Plan, input: Option<&FilePath>, out: &FilePath) -> Result<Vec<Process>, String> {
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for edge in &plan.edges {
        let (writer, reader) = socket_pair(edge.copies)?;
        writers.push(Some(writer));
        readers.push(Some(reader));
    }
    let mut sockets = Vec::new();
    for index in 0..plan.parties.len() {
        let (inputs, outputs) = plan.streams_of(index);
        let mut own: Vec<OwnedFd> = Vec::new();
        own.extend(inputs.iter().filter_map(|edge| readers.get_mut(edge.turn)?.take()));
        own.extend(outputs.iter().filter_map(|edge| writers.get_mut(edge.turn)?.take()));
        sockets.push(own);
    }
    let mut processes = Vec::new();
    for party in &plan.parties {
        processes.push(Process::start(&party.participant.name)?);
    }
    for (index, (process, sockets)) in processes.iter().zip(sockets).enumerate() {
        process.instruct(&jobs::job(plan, index, input, out)?, &sockets)?;
    }
    Ok(processes)
}

/// Copies go through a stream of bytes, everything else through messages.
fn socket_pair(copies: bool) -> Result<(OwnedFd, OwnedFd), String> {
    let failed = |error: &dyn std::fmt::Display| format!("no socket for a stream: {error}");
    if copies {
        let (writer, reader) = UnixStream::pair().map_err(|error| failed(&error))?;
        return Ok((writer.into(), reader.into()));
    }
    let (writer, reader) = Channel::pair().map_err(|error| failed(&error))?;
    Ok((writer.into(), reader.into()))
}

struct Supervisor<'a> {
    processes: Vec<Process>,
    signals: Signals,
    outcome: Outcome,
    /// When patience ends, once the run is coming to its end.
    kill_at: Option<Instant>,
    /// When the first death was seen.
    died_at: Option<Instant>,
    /// Who said itself what went wrong: index, stage, message.
    told: Vec<(usize, Stage, String)>,
    progress: &'a Progress,
}

impl Supervisor<'_> {
    fn watch(&mut self, plan: &Plan, record: &mut Record) {
        while self.processes.iter().any(|process| !process.has_ended()) {
            self.sleep();
            // Deaths first: one that came before a signal is what ended the run.
            for index in 0..self.processes.len() {
                self.look_at(index, record);
            }
            for signal in self.signals.take() {
                self.heed(signal);
            }
            if self.kill_at.is_some_and(|at| at <= Instant::now()) {
                self.kill_all();
            }
            self.progress.show(self.done(plan));
        }
    }

    /// Until somebody says something, a signal comes, or it is time for something.
    fn sleep(&self) {
        let mut timeout = if self.processes.iter().any(Process::is_ending) { SOON } else { TICK };
        if let Some(at) = self.kill_at {
            timeout = timeout.min(at.saturating_duration_since(Instant::now()).max(SOON));
        }
        let signals = self.signals.descriptors();
        let descriptors: Vec<BorrowedFd<'_>> =
            self.processes.iter().filter_map(Process::descriptor).chain(signals).collect();
        let mut entries: Vec<PollFd<'_>> =
            descriptors.iter().map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        // An interrupted poll is a signal, and everything is looked at after each sleep anyway.
        let _ = poll(&mut entries, Some(&timeout));
    }

    fn heed(&mut self, signal: i32) {
        if self.outcome.signal.is_none() {
            self.outcome.signal = Some(signal);
            self.wind_up(Cause::Signal(signal));
        } else {
            self.kill_at = Some(Instant::now());
        }
    }

    fn look_at(&mut self, index: usize, record: &mut Record) {
        let Some(process) = self.processes.get_mut(index) else { return };
        // Whoever talks without end is heard on in the next round: the socket stays readable.
        for _ in 0..AT_ONCE {
            let Some(event) = process.hear() else { break };
            match event {
                Event::Failed { stage, message } => {
                    let stage = Stage::ALL.into_iter().find(|known| known.word() == stage);
                    self.told.push((index, stage.unwrap_or(process.status().0), message));
                }
                other => record.take(index, other),
            }
        }
        let Some(end) = process.collect() else { return };
        let (stage, frames) = process.status();
        if let End::Badly(how) = end {
            let own = self.told.iter().find(|(whose, ..)| *whose == index);
            let (how, stage) = own.map_or((how, stage), |(_, stage, message)| (format!("failed ({message})"), *stage));
            let death = Death { name: process.name().into(), pid: process.pid(), how, stage, frames };
            if !self.outcome.killed.contains(&death.name) {
                self.outcome.dead.push(death);
                self.died_at.get_or_insert_with(Instant::now);
                self.wind_up(Cause::Death);
            }
        }
    }

    /// Asks everybody to stop; from now on patience is short.
    fn wind_up(&mut self, cause: Cause) {
        self.outcome.cause.get_or_insert(cause);
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + GRACE);
            self.processes.iter().for_each(Process::ask_to_stop);
        }
    }

    fn kill_all(&mut self) {
        for process in self.processes.iter_mut().filter(|process| !process.has_ended()) {
            if !self.outcome.killed.iter().any(|name| name == process.name()) {
                self.outcome.killed.push(process.name().into());
            }
            process.kill();
        }
    }

    /// Frames that came out at every end of the pipeline.
    fn done(&self, plan: &Plan) -> u64 {
        let ends = self.processes.iter().zip(&plan.parties).filter(|(_, party)| !party.participant.kind.produces());
        ends.map(|(process, _)| process.status().1).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::GRACE;
    use std::time::Duration;

    #[test]
    fn the_grace_leaves_half_a_second_of_the_two_that_are_promised() {
        assert!(GRACE <= Duration::from_millis(1500));
    }
}
