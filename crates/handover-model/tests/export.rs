//! The compression rule over sequences of exports.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::export::Reason;
use handover_model::{Compression, Decision, ExportFlags, ExportState, Kind, Outcome, Resolve, Stage, decide};
use proptest::prelude::*;

const READ: ExportFlags = ExportFlags::READ;
const WRITE: ExportFlags = ExportFlags::WRITE;
const FLUSH: ExportFlags = ExportFlags::EXPLICIT_FLUSH;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn run(compression: Compression, exports: &[ExportFlags]) -> (ExportState, Option<Decision>) {
    exports.iter().fold((ExportState::new(compression), None), |(state, _), flags| {
        let (state, decision) = decide(state, *flags).unwrap();
        (state, Some(decision))
    })
}

fn last(exports: &[ExportFlags]) -> Decision {
    run(Compression::Possible, exports).1.unwrap()
}

#[test]
fn neither_read_nor_write_is_refused() {
    for flags in [ExportFlags::empty(), FLUSH, ExportFlags::from_bits_retain(8) | READ] {
        let error = decide(ExportState::new(Compression::Possible), flags).unwrap_err();
        assert_eq!((error.stage(), error.kind()), (Stage::Export, &Kind::Invalid), "{flags}");
    }
}

/// One row an export: what came before, the flags, and the decision.
#[test]
fn the_rule_as_a_table() {
    let kept = (Outcome::Kept, Reason::ReadOnlyConsumer);
    let dropped = (Outcome::Dropped, Reason::ConsumerMayWrite);
    let already = (Outcome::Dropped, Reason::AlreadyDropped);
    type Row<'a> = (&'a [ExportFlags], (Outcome, Reason), Resolve, bool, bool);
    let rows: &[Row<'_>] = &[
        (&[READ | FLUSH], kept, Resolve::ByFlush, false, false),
        (&[READ], kept, Resolve::ByTracking, false, true),
        (&[WRITE | FLUSH], dropped, Resolve::Nothing, true, false),
        (&[READ | WRITE], dropped, Resolve::Nothing, true, false),
        (&[READ | FLUSH, READ | FLUSH], kept, Resolve::ByFlush, false, false),
        (&[READ | FLUSH, READ], kept, Resolve::ByTracking, false, true),
        (&[READ | FLUSH, READ, READ | FLUSH], kept, Resolve::ByTracking, false, false),
        (&[READ | FLUSH, WRITE | FLUSH], dropped, Resolve::Nothing, true, false),
        (&[WRITE, WRITE], dropped, Resolve::Nothing, false, false),
        (&[WRITE, READ | FLUSH], already, Resolve::Nothing, false, false),
    ];
    for (exports, (compression, reason), resolve, changed, resolve_now) in rows {
        let (compression, reason, resolve) = (*compression, *reason, *resolve);
        let wanted = Decision { compression, reason, resolve, changed: *changed, resolve_now: *resolve_now };
        assert_eq!(last(exports), wanted, "{exports:?}");
    }
}

#[test]
fn what_was_never_compressed_needs_nothing() {
    for flags in [READ, WRITE, READ | WRITE | FLUSH] {
        let (state, decision) = run(Compression::None, &[flags]);
        let decision = decision.unwrap();
        assert_eq!((decision.compression, decision.reason), (Outcome::NeverHad, Reason::NotCompressible));
        assert!(!decision.changed && !state.is_dropped() && state.resolve() == Resolve::Nothing);
    }
}

#[test]
fn decisions_say_why_in_words() {
    let text = last(&[READ | FLUSH]).to_string();
    assert_eq!(text, "compression kept: every consumer only reads; resolved by flush");
    assert_eq!((READ | FLUSH).to_string(), "READ | EXPLICIT_FLUSH");
}

fn flags() -> impl Strategy<Value = ExportFlags> {
    proptest::sample::select(vec![READ, WRITE, READ | WRITE, READ | FLUSH, WRITE | FLUSH, READ | WRITE | FLUSH])
}

fn exports() -> impl Strategy<Value = Vec<ExportFlags>> {
    proptest::collection::vec(flags(), 1..8)
}

fn compression() -> impl Strategy<Value = Compression> {
    proptest::sample::select(vec![Compression::None, Compression::Possible])
}

proptest! {
    #![proptest_config(config())]

    /// Weakening is one-way: READ and WRITE only come, EXPLICIT_FLUSH and compression only go.
    #[test]
    fn states_are_monotone(compression in compression(), exports in exports()) {
        let mut state = ExportState::new(compression);
        for flags in exports {
            let (after, decision) = decide(state, flags).unwrap();
            prop_assert!(after.flags().contains(state.flags() - FLUSH));
            prop_assert!(state.exports() == 0 || state.flags().contains(FLUSH) || !after.flags().contains(FLUSH));
            prop_assert!(after.is_dropped() || !state.is_dropped());
            prop_assert!(state.is_compressed() || !after.is_compressed());
            prop_assert_eq!(decision.changed, state.is_compressed() && !after.is_compressed());
            prop_assert_eq!(after.exports(), state.exports() + 1);
            state = after;
        }
    }

    /// The final state is that of the merged flags, whatever the order.
    #[test]
    fn final_states_do_not_depend_on_the_order(compression in compression(), exports in exports(), turn in 0..8_usize) {
        let mut other = exports.clone();
        other.reverse();
        let length = other.len();
        other.rotate_left(turn % length);
        prop_assert_eq!(run(compression, &exports).0, run(compression, &other).0);
        let or = exports.iter().fold(ExportFlags::empty(), |all, flags| all | *flags);
        let and = exports.iter().fold(ExportFlags::all(), |all, flags| all & *flags);
        prop_assert_eq!(run(compression, &exports).0.flags(), (or - FLUSH) | (and & FLUSH));
    }

    /// Two consumers with equal flags get equal decisions: the second changes nothing any more.
    #[test]
    fn equal_flags_get_equal_decisions(compression in compression(), exports in exports(), flags in flags()) {
        let (state, _) = run(compression, &exports);
        let (first_state, first) = decide(state, flags).unwrap();
        let (second_state, second) = decide(first_state, flags).unwrap();
        prop_assert_eq!(decide(state, flags).unwrap(), (first_state, first));
        let same = |one: Decision| (one.compression, one.reason, one.resolve);
        prop_assert_eq!(same(first), same(second));
        prop_assert!(!second.changed && !second.resolve_now);
        prop_assert_eq!(first_state.flags(), second_state.flags());
    }
}
