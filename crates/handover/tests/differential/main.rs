//! C105: random traces of operations on the bare rules, the library's reservation and the kernel's, in lockstep. They agree on
//! refusals, on busy and idle for readers and writers, and on counts, after every operation.
//!
//! Traces come from seeds, and one that differs is cut down and printed in the form of `tests/data/differential.traces`, which is
//! replayed first in every run. `HANDOVER_TRACES` says how many (10,000 take four minutes in a guest without KVM), `HANDOVER_SEED` where
//! to begin. Conflicting fences go through imports: vgem itself refuses conflicts.
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
use subject::rules::{Mistake, Rules};
use subject::software::Software;
use trace::{Op, Trace};

const REGRESSIONS: &str = include_str!("../data/differential.traces");

/// Traces where nothing else is said: a second here, about ten in the guest.
const TRACES: u64 = 400;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Shows that the kernel was left out and why. Fails instead where `HANDOVER_REQUIRE` names it or says `all`.
fn skip(why: &str) {
    let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == "vgem" || name == "all"), "vgem is required: {why}");
    eprintln!("skipped: needs vgem: {why}; the library runs against the rules alone");
}

fn subjects() -> Vec<Box<dyn Subject>> {
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(Software::new())];
    match Kernel::open() {
        Ok(kernel) => subjects.push(Box::new(kernel)),
        Err(why) => skip(&why),
    }
    subjects
}

/// As [`run`], again where the machine was so slow that fences ended by themselves.
fn run_in_time(trace: &Trace, subjects: &mut [Box<dyn Subject>], tally: &mut Tally) -> Option<Difference> {
    for _ in 0..3 {
        let difference = run(trace, subjects, tally);
        if !subjects.iter().any(|subject| subject.is_late()) {
            return difference;
        }
    }
    panic!("three times too slow for fences that live 10 s: {trace}");
}

fn check(trace: &Trace, origin: &str, subjects: &mut [Box<dyn Subject>], tally: &mut Tally) {
    let Some(first) = run_in_time(trace, subjects, tally) else { return };
    let mut differs = |trace: &Trace| run_in_time(trace, subjects, &mut Tally::default()).is_some();
    let shortest = shrink(trace, &mut differs);
    let difference = run_in_time(&shortest, subjects, &mut Tally::default()).unwrap_or(first);
    panic!("{origin} differs, {difference}\n\nfor tests/data/differential.traces:\n{shortest}\n");
}

#[test]
fn c105_the_kernel_the_library_and_the_rules_agree() {
    let mut subjects = subjects();
    let mut tally = Tally::default();
    let started = Instant::now();
    let mut replayed = 0;
    for (line, text) in REGRESSIONS.lines().enumerate().filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
        let trace = text.parse().unwrap();
        check(&trace, &format!("line {} of tests/data/differential.traces", line + 1), &mut subjects, &mut tally);
        replayed += 1;
    }
    let (seed, traces) = (number("HANDOVER_SEED", 0), number("HANDOVER_TRACES", TRACES));
    for seed in seed..seed + traces {
        check(&Trace::random(seed), &format!("seed {seed}"), &mut subjects, &mut tally);
    }
    let names: Vec<_> = subjects.iter().map(|subject| subject.name()).collect();
    eprintln!(
        "{replayed} kept and {traces} random traces on rules, {}: {:.1} s, {tally:?}",
        names.join(", "),
        started.elapsed().as_secs_f64()
    );
    let met =
        [tally.full, tally.invalid, tally.waits, tally.grants, tally.busy_for_readers, tally.busy_for_writers_only];
    assert!(
        replayed > 0 && (traces < TRACES || met.iter().all(|&count| count > 0)),
        "something never happened: {tally:?}"
    );
}

/// A test that cannot fail proves nothing: each mistake is found, and its trace cut to the few operations that show it.
#[test]
fn c105_a_wrong_rule_is_found_and_cut_to_its_shortest_trace() {
    let mistakes = [
        (Mistake::ReadersMeetReaders, 2),
        (Mistake::Lowers, 3),
        (Mistake::NeverReplaces, 3),
        (Mistake::KeepsTheEnded, 3),
        (Mistake::NoBound, 3),
    ];
    for (mistake, length) in mistakes {
        let mut wrong: Vec<Box<dyn Subject>> = vec![Box::new(Rules::with(mistake))];
        let mut differs = |trace: &Trace| run(trace, &mut wrong, &mut Tally::default()).is_some();
        let found = (0..TRACES).map(Trace::random).find(&mut differs);
        let shortest = shrink(&found.unwrap_or_else(|| panic!("{mistake:?} was not found")), &mut differs);
        assert!(shortest.0.len() <= length, "{mistake:?}: {shortest}");
    }
}

#[test]
fn traces_are_written_as_they_are_read() {
    for seed in 0..200 {
        let trace = Trace::random(seed);
        assert_eq!(trace.to_string().parse(), Ok(trace));
    }
    for wrong in ["", "fence;", "import 0 c read 1", "export a", "end x", "poll a b"] {
        assert!(wrong.parse::<Trace>().is_err(), "{wrong}");
    }
    let kept = "fence; import 0 a both 1; access b 4".parse();
    assert_eq!(kept.map(|trace: Trace| trace.0[2]), Ok(Op::Access { buffer: 1, flags: 4 }));
}
