//! C105: random traces of operations on the bare rules, the library's reservation and the kernel's, in lockstep. They agree on
//! refusals, on busy and idle for readers and writers, and on counts, after every operation. The library goes twice: entry by entry,
//! and in its own words for fences and timelines, which has no counts.
//!
//! Traces come from seeds, and one that differs is cut down and printed in the form of `tests/data/differential.traces`, which is
//! replayed first in every run. `HANDOVER_TRACES` says how many (10,000 of each kind take ten minutes in a guest without KVM),
//! `HANDOVER_SEED` where to begin. Conflicting fences go through imports: vgem itself refuses conflicts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod lockstep;
#[path = "../subject/mod.rs"]
mod subject;
mod trace;

use std::time::Instant;

use lockstep::{Difference, Tally, run, shrink};
use subject::Subject;
use subject::kernel::Kernel;
use subject::library::Library;
use subject::rules::{Mistake, Rules};
use subject::software::Software;
use trace::{Op, Trace};

const REGRESSIONS: &str = include_str!("../data/differential.traces");

/// Traces where nothing else is said: a second here, half a minute in the guest.
const TRACES: u64 = 400;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Shows that the kernel was left out and why. Fails instead where `HANDOVER_REQUIRE` names it or says `all`.
fn skip(need: &str, why: &str) {
    let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == need || name == "all"), "{need} is required: {why}");
    eprintln!("skipped: needs {need}: {why}; the library runs against the rules alone");
}

/// The library, and the kernel where there is one.
fn with_kernel(library: impl Subject + 'static, need: &str, kernel: Result<Kernel, String>) -> Vec<Box<dyn Subject>> {
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(library)];
    match kernel {
        Ok(kernel) => subjects.push(Box::new(kernel)),
        Err(why) => skip(need, &why),
    }
    subjects
}

/// Who runs a trace against which form of the rules.
struct Rig {
    rules: fn() -> Rules,
    subjects: Vec<Box<dyn Subject>>,
    tally: Tally,
}

impl Rig {
    /// Entry by entry.
    fn of_entries() -> Self {
        let subjects = with_kernel(Software::new(), "vgem", Kernel::open());
        Self { rules: Rules::default, subjects, tally: Tally::default() }
    }

    /// In the library's own words for fences, with timelines.
    fn of_fences() -> Self {
        let subjects = with_kernel(Library::new(), "syncobj", Kernel::with_lines());
        Self { rules: || Rules::with_room(usize::MAX), subjects, tally: Tally::default() }
    }
}

impl Rig {
    /// As [`run`], again where the machine was so slow that fences ended by themselves.
    fn run(&mut self, trace: &Trace) -> Option<Difference> {
        for _ in 0..3 {
            let difference = run(trace, (self.rules)(), &mut self.subjects, &mut self.tally);
            if !self.subjects.iter().any(|subject| subject.is_late()) {
                return difference;
            }
        }
        panic!("three times too slow for fences that live 10 s: {trace}");
    }

    fn check(&mut self, trace: &Trace, origin: &str) {
        let Some(first) = self.run(trace) else { return };
        let shortest = shrink(trace, |trace| self.run(trace).is_some());
        let difference = self.run(&shortest).unwrap_or(first);
        panic!("{origin} differs, {difference}\n\nfor tests/data/differential.traces:\n{shortest}\n");
    }

    /// Kept traces that `fits`, then random ones. Gives whether there were as many as by default.
    fn check_all(&mut self, fits: impl Fn(&Trace) -> bool, random: impl Fn(u64) -> Trace) -> bool {
        let started = Instant::now();
        let mut replayed = 0;
        let kept = REGRESSIONS.lines().enumerate().filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
        for (line, text) in kept {
            let trace = text.parse().unwrap();
            if fits(&trace) {
                self.check(&trace, &format!("line {} of tests/data/differential.traces", line + 1));
                replayed += 1;
            }
        }
        let (seed, traces) = (number("HANDOVER_SEED", 0), number("HANDOVER_TRACES", TRACES));
        for seed in seed..seed + traces {
            self.check(&random(seed), &format!("seed {seed}"));
        }
        let names: Vec<_> = self.subjects.iter().map(|subject| subject.name()).collect();
        eprintln!(
            "{replayed} kept and {traces} random traces on rules, {}: {:.1} s, {:?}",
            names.join(", "),
            started.elapsed().as_secs_f64(),
            self.tally
        );
        assert!(replayed > 0);
        traces >= TRACES
    }
}

#[test]
fn c105_the_kernel_the_library_and_the_rules_agree() {
    let mut rig = Rig::of_entries();
    let all = rig.check_all(|trace| !trace.has_lines(), Trace::random);
    let Tally { full, invalid, waits, grants, busy_for_readers, busy_for_writers_only, .. } = rig.tally;
    let met = [full, invalid, waits, grants, busy_for_readers, busy_for_writers_only];
    assert!(!all || met.iter().all(|&count| count > 0), "something never happened: {:?}", rig.tally);
}

#[test]
fn c105_fences_and_timelines_of_the_kernel_the_library_and_the_rules_agree() {
    let mut rig = Rig::of_fences();
    let all = rig.check_all(Trace::has_lines, Trace::with_lines);
    let Tally { invalid, unsubmitted, waits, grants, pending_points, complete_points, blurred, .. } = rig.tally;
    let met = [invalid, unsubmitted, waits, grants, pending_points, complete_points, blurred];
    assert!(!all || met.iter().all(|&count| count > 0), "something never happened: {:?}", rig.tally);
}

/// A test that cannot fail proves nothing: each mistake is found, and its trace cut to the few operations that show it.
#[test]
fn c105_a_wrong_rule_is_found_and_cut_to_its_shortest_trace() {
    let (entries, lines) = (Trace::random as fn(u64) -> Trace, Trace::with_lines as fn(u64) -> Trace);
    let mistakes = [
        (Mistake::ReadersMeetReaders, entries, 2),
        (Mistake::Lowers, entries, 3),
        (Mistake::NeverReplaces, entries, 3),
        (Mistake::KeepsTheEnded, entries, 3),
        (Mistake::NoBound, entries, 3),
        (Mistake::KeepsPoints, lines, 3),
        (Mistake::ForgetsEarlier, lines, 5),
    ];
    for (mistake, random, length) in mistakes {
        let mut wrong: Vec<Box<dyn Subject>> = vec![Box::new(Rules::with(mistake))];
        let mut differs = |trace: &Trace| run(trace, Rules::default(), &mut wrong, &mut Tally::default()).is_some();
        let found = (0..TRACES).map(random).find(&mut differs);
        let shortest = shrink(&found.unwrap_or_else(|| panic!("{mistake:?} was not found")), &mut differs);
        assert!(shortest.0.len() <= length, "{mistake:?}: {shortest}");
    }
}

#[test]
fn traces_are_written_as_they_are_read() {
    for seed in 0..200 {
        let trace = Trace::random(seed);
        assert_eq!(trace.to_string().parse(), Ok(trace));
        let trace = Trace::with_lines(seed);
        assert_eq!(trace.to_string().parse(), Ok(trace));
    }
    for wrong in
        ["", "fence;", "import 0 c read 1", "export a", "end x", "poll a b", "submit 0 a 1", "take x", "reset 1"]
    {
        assert!(wrong.parse::<Trace>().is_err(), "{wrong}");
    }
    let kept = "fence; import 0 a both 1; access b 4".parse();
    assert_eq!(kept.map(|trace: Trace| trace.0[2]), Ok(Op::Access { buffer: 1, flags: 4 }));
}
