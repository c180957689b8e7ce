//! The parent: starts a worker for each owner, takes the steps one after the other while a gate holds all jobs back, opens it, and
//! hears how they went.
//!
//! # Contract
//!
//! - The order of submission is that of the plan: a step is taken when the one before was answered.
//! - Jobs begin when the gate opens, which is time 0. It is a fence of the parent's: all have it, none can end before.
//! - Who dies or fails, a signal, and a run that takes much too long end all others at once. When [`conduct`] returns, every process
//!   that it started is collected.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use handover::reservation::Entry;
use handover::{Deadline, ExportFlags, Monotonic, Surface, Usage, export};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::gate::Gate;
use super::message::{Command, Event, Line, Ran, Seen, Submit, Sync};
use super::plan::{Plan, Step};
use super::stamp::look_at_last;
use crate::run::process::{End, Process};
use crate::signals::Signals;

/// Beyond the time of all jobs one after the other.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a process is looked for that has hung up and not yet exited.
const TICK: Duration = Duration::from_millis(20);

/// What a run gave.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// When the gate opened, in nanoseconds on `CLOCK_MONOTONIC`.
    pub(super) zero: u64,
    /// When each job was submitted, by number: nanoseconds on `CLOCK_MONOTONIC`.
    pub(super) submitted: HashMap<u32, u64>,
    /// How each job went that was heard of, by number.
    pub(super) ran: HashMap<u32, Ran>,
    /// What the reservations held after each step that was taken.
    pub(super) steps: Vec<Taken>,
    /// What each surface's reservation held when all was submitted and nothing had begun.
    pub(super) held: Vec<Held>,
    /// Jobs whose fences are in no reservation although they should be.
    pub(super) unattached: Vec<u32>,
    /// Cells that did not hold their last writer's pixels when all had ended.
    pub(super) left: Vec<Seen>,
    pub(super) ended: Ended,
}

/// How a run ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Ended {
    #[default]
    Complete,
    /// Who died or failed, and how.
    Death(Death),
    Signal(i32),
    /// It took much too long. Whose jobs were not done, and the first of each.
    Late(Vec<(String, u32)>),
}

/// A worker that did not come to a good end by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Death {
    pub(super) name: String,
    pub(super) pid: u32,
    /// What happened, in words.
    pub(super) how: String,
    /// Jobs that it had told of.
    pub(super) jobs: u64,
}

/// Entries of one surface's reservation, by usage, as `Surface::pending` reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Held {
    pub(super) kernel: usize,
    pub(super) write: usize,
    pub(super) read: usize,
    pub(super) bookkeep: usize,
}

/// A step, and what the reservations of the surfaces it concerned held afterwards.
#[derive(Debug)]
pub(super) struct Taken {
    /// Index of the plan's step.
    pub(super) step: usize,
    pub(super) held: Vec<(u32, Held)>,
}

impl Held {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut held = Self::default();
        for entry in entries {
            match entry.usage {
                Usage::Kernel => held.kernel += 1,
                Usage::Write => held.write += 1,
                Usage::Read => held.read += 1,
                Usage::Bookkeep => held.bookkeep += 1,
            }
        }
        held
    }
}

/// Takes all steps, opens the gate, and waits for the end of everything.
///
/// # Errors
/// In words: something could not be started. What had started is gone again.
pub(super) fn conduct(
    plan: &Plan,
    surfaces: &[Surface],
    work: Duration,
    signals: &mut Signals,
) -> Result<Outcome, String> {
    let mut gate = Gate::close()?;
    let deadline = Monotonic::now().saturating_add(work).saturating_add(PATIENCE);
    let processes = plan.workers.iter().map(|worker| Process::start_with(&worker.name, &["--jobs"]));
    let processes = processes.collect::<Result<Vec<_>, _>>()?;
    let inbox = processes.iter().map(|_| VecDeque::new()).collect();
    let late = Instant::now() + work + PATIENCE;
    let mut parent =
        Parent { plan, surfaces, processes, inbox, signals, late, outcome: Outcome::default(), told: HashMap::new() };
    match parent.play(&mut gate, deadline) {
        Ok(()) => {}
        Err(Stop::Ended(ended)) => {
            parent.listen();
            parent.note_all();
            parent.outcome.ended = match ended {
                Ended::Late(_) => Ended::Late(parent.open()),
                ended => ended,
            };
        }
        Err(Stop::Broken(trouble)) => return Err(trouble),
    }
    // Whoever is left is killed and collected with its process.
    let Parent { outcome, processes, .. } = parent;
    drop(processes);
    Ok(outcome)
}

/// Why no step follows.
enum Stop {
    Ended(Ended),
    Broken(String),
}

impl From<String> for Stop {
    fn from(trouble: String) -> Self {
        Self::Broken(trouble)
    }
}

type Next<T = ()> = Result<T, Stop>;

struct Parent<'a> {
    plan: &'a Plan,
    surfaces: &'a [Surface],
    processes: Vec<Process>,
    /// What each has said and nobody has asked for yet.
    inbox: Vec<VecDeque<(Event, Vec<OwnedFd>)>>,
    signals: &'a mut Signals,
    late: Instant,
    outcome: Outcome,
    /// Who said itself what went wrong.
    told: HashMap<usize, String>,
}

impl Parent<'_> {
    fn play(&mut self, gate: &mut Gate, deadline: Monotonic) -> Next {
        self.set_up(gate, deadline)?;
        for (number, step) in self.plan.steps.iter().enumerate() {
            self.take(number, step)?;
        }
        self.outcome.held = self.surfaces.iter().map(|surface| Held::of(&surface.pending())).collect();
        for worker in 0..self.processes.len() {
            self.tell(worker, &Command::Finish, &[])?;
        }
        self.outcome.zero = gate.open()?.0;
        self.hear_all()
    }

    /// Everybody gets its part, then surfaces, the gate, and the timelines of others.
    fn set_up(&mut self, gate: &Gate, deadline: Monotonic) -> Next {
        for (index, worker) in self.plan.workers.iter().enumerate() {
            let bytes = serde_json::to_vec(&worker.part(deadline.0))
                .map_err(|error| format!("the part of {}: {error}", worker.name))?;
            let process = self.process(index)?;
            process.tell(&bytes, &[process.page()])?;
            for (number, writes) in &worker.surfaces {
                let flags = if *writes { ExportFlags::READ | ExportFlags::WRITE } else { ExportFlags::READ };
                let surface =
                    self.surfaces.get(*number as usize).ok_or("a surface that is not in the plan".to_owned())?;
                let exported = export(surface, flags, Deadline::At(deadline)).map_err(|error| error.to_string())?;
                let (handle, descriptors) = exported.handle.into_parts();
                let descriptors = descriptors.each_ref().map(AsFd::as_fd);
                self.tell(index, &Command::Surface { number: *number, handle }, &descriptors)?;
            }
            self.tell(index, &Command::Gate, &[gate.descriptor()?.as_fd()])?;
        }
        let mut lines: HashMap<Line, OwnedFd> = HashMap::new();
        for (index, worker) in self.plan.workers.iter().enumerate() {
            for _ in 0..worker.engines.len() + worker.releases.len() {
                if let (Event::Line(line), descriptors) = self.answer(index)?
                    && let Some(descriptor) = descriptors.into_iter().next()
                {
                    lines.insert(line, descriptor);
                }
            }
        }
        for (index, worker) in self.plan.workers.iter().enumerate() {
            for line in &worker.lines {
                let descriptor = lines.get(line).ok_or("a timeline that nobody has".to_owned())?;
                self.tell(index, &Command::Line(*line), &[descriptor.as_fd()])?;
            }
        }
        for index in 0..self.processes.len() {
            self.answer(index)?;
        }
        Ok(())
    }

    fn take(&mut self, number: usize, step: &Step) -> Next {
        let (by, command, concerned) = step.command();
        self.tell(by, &command, &[])?;
        let (event, _) = self.answer(by)?;
        if let (Step::Submit(by, submit), Event::Submitted { at, context, seq }) = (step, event) {
            self.outcome.submitted.insert(submit.job, at);
            let implicit = self.plan.workers.get(*by).is_some_and(|worker| worker.sync == Sync::Implicit);
            if implicit && !self.is_attached(submit, (context, seq)) {
                self.outcome.unattached.push(submit.job);
            }
        }
        let held = |surface: u32| Some((surface, Held::of(&self.surfaces.get(surface as usize)?.pending())));
        let held = concerned.into_iter().filter_map(held).collect();
        self.outcome.steps.push(Taken { step: number, held });
        Ok(())
    }

    /// Is the fence of a job in the reservations of all that it touches? It cannot have ended.
    fn is_attached(&self, submit: &Submit, place: (u64, u64)) -> bool {
        submit
            .set
            .iter()
            .filter_map(|touch| self.surfaces.get(touch.surface as usize))
            .all(|surface| surface.pending().iter().any(|entry| (entry.context, entry.seq) == place))
    }

    fn process(&self, index: usize) -> Result<&Process, String> {
        self.processes.get(index).ok_or_else(|| "a worker that is not in the plan".to_owned())
    }

    fn tell(&self, index: usize, command: &Command, descriptors: &[BorrowedFd<'_>]) -> Result<(), String> {
        let bytes = serde_json::to_vec(command).map_err(|error| format!("a command: {error}"))?;
        self.process(index)?.tell(&bytes, descriptors)
    }

    /// The next thing that a worker says.
    fn answer(&mut self, index: usize) -> Next<(Event, Vec<OwnedFd>)> {
        loop {
            if let Some(answer) = self.inbox.get_mut(index).and_then(VecDeque::pop_front) {
                return Ok(answer);
            }
            self.pump()?;
        }
    }

    /// Hears of all jobs, lets everybody leave, and waits until every process has ended well.
    fn hear_all(&mut self) -> Next {
        let mut done = 0;
        loop {
            done += self.note_all();
            if done == self.processes.len() {
                done = 0;
                for worker in 0..self.processes.len() {
                    self.tell(worker, &Command::Leave, &[])?;
                }
            }
            if self.processes.iter().all(Process::has_ended) {
                return Ok(self.look()?);
            }
            self.pump()?;
        }
    }

    /// Takes what was said, and gives how many are done.
    fn note_all(&mut self) -> usize {
        let mut done = 0;
        for (event, _) in self.inbox.iter_mut().flat_map(|inbox| inbox.drain(..)) {
            match event {
                Event::Ran(ran) => drop(self.outcome.ran.insert(ran.job, ran)),
                Event::Done => done += 1,
                _ => {}
            }
        }
        done
    }

    /// Does each cell hold the pixels of its last writer?
    fn look(&mut self) -> Result<(), String> {
        if self.outcome.ran.values().any(|ran| ran.failed.is_some()) {
            // Who failed may have drawn half of it, and says so.
            return Ok(());
        }
        for (number, surface) in (0..).zip(self.surfaces) {
            let seen = look_at_last(surface, number, &self.plan.truth.left(number));
            self.outcome.left.extend(seen.map_err(|error| format!("the pixels that were left: {error}"))?);
        }
        Ok(())
    }

    /// Whose jobs are not done, and the first of each.
    fn open(&self) -> Vec<(String, u32)> {
        let mut open: Vec<(String, u32)> = Vec::new();
        for step in &self.plan.steps {
            let (Step::Submit(by, _) | Step::Thread(by, _)) = step else { continue };
            let Some(worker) = self.plan.workers.get(*by) else { continue };
            if !self.outcome.ran.contains_key(&step.job()) && open.iter().all(|(name, _)| *name != worker.name) {
                open.push((worker.name.clone(), step.job()));
            }
        }
        open
    }

    /// Sleeps until somebody says something, and looks at everybody.
    fn pump(&mut self) -> Next {
        self.sleep();
        self.listen();
        for (index, process) in self.processes.iter_mut().enumerate() {
            if let Some(End::Badly(how)) = process.collect() {
                let how = self.told.remove(&index).map_or(how, |told| format!("failed ({told})"));
                let jobs = process.status().1;
                let death = Death { name: process.name().into(), pid: process.pid(), how, jobs };
                return Err(Stop::Ended(Ended::Death(death)));
            }
        }
        match self.signals.take().first() {
            Some(signal) => Err(Stop::Ended(Ended::Signal(*signal))),
            None if self.late <= Instant::now() => Err(Stop::Ended(Ended::Late(Vec::new()))),
            None => Ok(()),
        }
    }

    /// Everything that was said up to now, of everybody.
    fn listen(&mut self) {
        for (index, (process, inbox)) in self.processes.iter_mut().zip(&mut self.inbox).enumerate() {
            while let Some((bytes, descriptors)) = process.hear_bytes(1) {
                match serde_json::from_slice(&bytes) {
                    Ok(Event::Failed(how)) => drop(self.told.insert(index, how)),
                    Err(_) => {}
                    Ok(event) => inbox.push_back((event, descriptors)),
                }
            }
        }
    }

    fn sleep(&self) {
        let descriptors = self.processes.iter().filter_map(Process::descriptor).chain(self.signals.descriptors());
        let mut entries: Vec<PollFd<'_>> =
            descriptors.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)).collect::<Vec<_>>();
        let timeout = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        // An interrupted poll is a signal, and everything is looked at after each sleep anyway.
        let _ = poll(&mut entries, Some(&timeout));
    }
}
