//! One trace on several subjects at once, compared after every operation; and the shortest trace that still differs.

use std::fmt;

use std::time::{Duration, Instant};

use crate::subject::lines::{LINES, Line, LineOp};
use crate::subject::rules::Rules;
use crate::subject::{BUFFERS, Held, Met, READ, Refusal, Subject, WRITE};
use crate::trace::{Op, Trace};

/// How long a subject whose threads tell of ends may take to.
const SETTLED: Duration = Duration::from_secs(2);

/// Two subjects that disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Index of the operation.
    step: usize,
    what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after operation {}: {}", self.step + 1, self.what)
    }
}

/// What the operations met, over all traces: proof that they went everywhere.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) operations: usize,
    pub(crate) full: usize,
    pub(crate) invalid: usize,
    pub(crate) unsubmitted: usize,
    pub(crate) pending_points: usize,
    pub(crate) complete_points: usize,
    pub(crate) blurred: usize,
    pub(crate) waits: usize,
    pub(crate) grants: usize,
    pub(crate) busy_for_readers: usize,
    pub(crate) busy_for_writers_only: usize,
    /// The most contexts that an access met at once.
    pub(crate) most_contexts: usize,
}

/// What one operation answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Nothing,
    /// Imports that went through, and why the next did not.
    Imported(usize, Option<Refusal>),
    Refused(Refusal),
    Granted(bool),
    Ready(bool, bool),
}

/// What can be seen without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sight {
    readers: [Met; BUFFERS],
    writers: [Met; BUFFERS],
    files: Vec<Held>,
    lines: Option<[Line; LINES]>,
}

/// Who counts fences and files, to name those that exist.
#[derive(Debug, Default)]
struct Names {
    fences: Vec<bool>,
    files: usize,
}

impl Names {
    /// The operation with names of things that exist; `None` where there is nothing to do.
    fn resolve(&mut self, op: Op) -> Option<Op> {
        let files = self.files;
        Some(match op {
            Op::Fence => {
                self.fences.push(true);
                op
            }
            Op::End { fence } => {
                let fence = fence.checked_rem(self.fences.len())?;
                if !std::mem::take(&mut self.fences[fence]) {
                    return None;
                }
                Op::End { fence }
            }
            Op::Import { file, buffer, flags, times } => {
                Op::Import { file: file.checked_rem(files)?, buffer, flags, times }
            }
            Op::Merge { one, other } => Op::Merge { one: one.checked_rem(files)?, other: other.checked_rem(files)? },
            Op::Line(LineOp::Submit { file, line, point }) => {
                Op::Line(LineOp::Submit { file: file.checked_rem(files)?, line, point })
            }
            Op::Line(_) | Op::Export { .. } | Op::Access { .. } | Op::Poll { .. } => op,
        })
    }

    fn note(&mut self, op: Op, answer: Answer) {
        let made = matches!(op, Op::Fence | Op::Merge { .. } | Op::Export { .. } | Op::Line(LineOp::Take { .. }));
        self.files += usize::from(made && answer == Answer::Nothing);
    }
}

fn apply(subject: &mut dyn Subject, op: Op) -> Answer {
    let answered = |result: Result<(), Refusal>| result.map_or_else(Answer::Refused, |()| Answer::Nothing);
    match op {
        Op::Fence => subject.fence(),
        Op::End { fence } => subject.end(fence),
        Op::Merge { one, other } => subject.merge(one, other),
        Op::Import { file, buffer, flags, times } => {
            for done in 0..times {
                if let Err(refusal) = subject.import(buffer, flags, file) {
                    return Answer::Imported(done, Some(refusal));
                }
            }
            return Answer::Imported(times, None);
        }
        Op::Line(op) => return answered(subject.on_line(op)),
        Op::Export { buffer, flags } => return answered(subject.export(buffer, flags)),
        Op::Access { buffer, flags } => {
            return subject.access(buffer, flags).map_or_else(Answer::Refused, Answer::Granted);
        }
        Op::Poll { buffer } => {
            let (read, write) = subject.poll(buffer);
            return Answer::Ready(read, write);
        }
    }
    Answer::Nothing
}

fn look(subject: &dyn Subject, files: usize, lines: bool) -> Sight {
    Sight {
        readers: std::array::from_fn(|buffer| subject.met(buffer, READ)),
        writers: std::array::from_fn(|buffer| subject.met(buffer, WRITE)),
        files: (0..files).map(|file| subject.held(file)).collect(),
        lines: lines.then(|| std::array::from_fn(|line| subject.line(line))),
    }
}

/// What can be compared.
#[derive(Debug, Clone, Copy)]
struct Comparable {
    /// Lists are compared as they are until a fence of the buffer has ended: the kernel keeps slots of those, and a later import takes
    /// the first of them (C23). From then on, counts after subsumption.
    lists: [bool; BUFFERS],
    /// Of a timeline with a point below an earlier one the kernel says little until all of it has ended (C83).
    points: [bool; LINES],
    /// And its query sees no whole before the points.
    completed: [bool; LINES],
}

impl Comparable {
    fn note(&mut self, rules: &Rules) {
        for (buffer, lists) in self.lists.iter_mut().enumerate() {
            *lists &= !rules.has_ended_slots(buffer);
        }
        self.points = std::array::from_fn(|line| !rules.is_blurred(line));
        self.completed = std::array::from_fn(|line| !rules.is_query_blurred(line));
    }

    /// Does the operation ask for nothing blurred?
    fn has(self, op: Op) -> bool {
        match op {
            Op::Line(LineOp::Take { line, .. } | LineOp::Transfer { from: line, .. }) => self.points[line],
            _ => true,
        }
    }

    /// Leaves out what cannot be.
    fn of(self, mut sight: Sight, counts: bool) -> Sight {
        for (buffer, lists) in self.lists.into_iter().enumerate() {
            for met in [&mut sight.readers[buffer], &mut sight.writers[buffer]] {
                met.listed = if lists && counts { met.listed } else { 0 };
                met.contexts = if counts { met.contexts } else { 0 };
            }
        }
        if !counts {
            sight.files.iter_mut().for_each(|file| file.contexts = 0);
        }
        for (index, line) in sight.lines.iter_mut().flatten().enumerate() {
            if !self.points[index] || (counts && !self.completed[index]) {
                line.completed = 0;
            }
            if !self.points[index] {
                line.points = line.points.map(|(available, _)| (available, false));
            }
        }
        sight
    }
}

/// Runs the trace. The rules, which say what is comparable, go first; `others` must agree with them at every step.
pub(crate) fn run(
    trace: &Trace,
    mut rules: Rules,
    others: &mut [Box<dyn Subject>],
    tally: &mut Tally,
) -> Option<Difference> {
    let mut names = Names::default();
    let mut comparable = Comparable { lists: [true; BUFFERS], points: [true; LINES], completed: [true; LINES] };
    let lines = trace.has_lines();
    others.iter_mut().for_each(|subject| subject.reset());
    for (step, &op) in trace.0.iter().enumerate() {
        let Some(op) = names.resolve(op).filter(|op| comparable.has(*op)) else { continue };
        let answer = apply(&mut rules, op);
        names.note(op, answer);
        comparable.note(&rules);
        let sight = look(&rules, names.files, lines);
        tally.note(answer, &sight, comparable);
        for subject in others.iter_mut() {
            let found = apply(subject.as_mut(), op);
            let difference = |rules: &dyn fmt::Debug, found: &dyn fmt::Debug| {
                let what = format!("`{op}`: rules {rules:?}, {} {found:?}", subject.name());
                Some(Difference { step, what })
            };
            if found != answer {
                return difference(&answer, &found);
            }
            let counts = subject.counts();
            let (wanted, began) = (comparable.of(sight.clone(), counts), Instant::now());
            loop {
                let seen = comparable.of(look(subject.as_ref(), names.files, lines), counts);
                if seen == wanted {
                    break;
                }
                if counts || began.elapsed() > SETTLED {
                    return difference(&wanted, &seen);
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }
    None
}

impl Tally {
    fn note(&mut self, answer: Answer, sight: &Sight, comparable: Comparable) {
        self.operations += 1;
        match answer {
            Answer::Imported(_, Some(refusal)) | Answer::Refused(refusal) => match refusal {
                Refusal::Full => self.full += 1,
                Refusal::Invalid => self.invalid += 1,
                Refusal::Unsubmitted => self.unsubmitted += 1,
            },
            Answer::Granted(true) => self.grants += 1,
            Answer::Granted(false) => self.waits += 1,
            Answer::Nothing | Answer::Imported(_, None) | Answer::Ready(..) => {}
        }
        for (reader, writer) in sight.readers.iter().zip(&sight.writers) {
            self.busy_for_readers += usize::from(reader.busy);
            self.busy_for_writers_only += usize::from(writer.busy && !reader.busy);
            self.most_contexts = self.most_contexts.max(writer.contexts);
        }
        for (line, points) in sight.lines.iter().flatten().zip(comparable.points) {
            self.blurred += usize::from(!points);
            self.complete_points += line.points.iter().filter(|point| **point == (true, true)).count();
            self.pending_points += line.points.iter().filter(|point| **point == (true, false)).count();
        }
    }
}

/// The shortest trace that can be had from this one by leaving out operations and repeats and for which `differs` holds.
pub(crate) fn shrink(trace: &Trace, mut differs: impl FnMut(&Trace) -> bool) -> Trace {
    let mut best = trace.clone();
    loop {
        let before = best.clone();
        let mut chunk = best.0.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < best.0.len() {
                let mut shorter = best.clone();
                shorter.0.drain(at..(at + chunk).min(best.0.len()));
                if differs(&shorter) {
                    best = shorter;
                } else {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
        for at in 0..best.0.len() {
            for smaller in simpler(best.0[at]) {
                let mut simpler = best.clone();
                simpler.0[at] = smaller;
                if differs(&simpler) {
                    best = simpler;
                    break;
                }
            }
        }
        if best == before {
            return best;
        }
    }
}

/// Simpler forms of an operation, simplest first.
fn simpler(op: Op) -> Vec<Op> {
    match op {
        Op::Import { file, buffer, flags, times } => {
            let fewer = [1, times / 2, times.saturating_sub(1)].into_iter().filter(|&fewer| 0 < fewer && fewer < times);
            let same = fewer.map(|times| Op::Import { file, buffer, flags, times });
            let files = (0..file).map(|file| Op::Import { file, buffer, flags, times });
            same.chain(files).collect()
        }
        Op::Line(LineOp::Submit { file, line, point }) => {
            (0..file).map(|file| Op::Line(LineOp::Submit { file, line, point })).collect()
        }
        Op::End { fence } => (0..fence).map(|fence| Op::End { fence }).collect(),
        _ => Vec::new(),
    }
}
