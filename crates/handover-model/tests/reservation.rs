//! The rules of a reservation, each under its number of the conformance list (C) or scenario (S).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::reservation::{Entry, NO_CONTEXT, attach, collect, collect_region, conflicts, report, waits_for};
use handover_model::{Access, Region, Usage};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn entry(context: u64, seq: u64, usage: Usage) -> Entry {
    Entry { context, seq, usage, region: Region::WHOLE, done: false }
}

fn done(entry: Entry) -> Entry {
    Entry { done: true, ..entry }
}

#[test]
fn the_conflict_table() {
    use Usage::{Bookkeep, Kernel, Read, Write};
    let conflicting =
        [(Kernel, Kernel), (Kernel, Write), (Kernel, Read), (Kernel, Bookkeep), (Write, Write), (Write, Read)];
    for a in Usage::ALL {
        for b in Usage::ALL {
            let wanted = conflicting.contains(&(a, b)) || conflicting.contains(&(b, a));
            assert_eq!(conflicts(a, b), wanted, "{a} and {b}");
        }
    }
}

/// The kernel says it as two queries; the table says the same, for reads and writes.
#[test]
fn c21_readers_wait_for_writes_and_writers_for_reads_too() {
    for access in [Access::Read, Access::Write] {
        for usage in Usage::ALL {
            let waits = usage <= access.waits();
            assert_eq!(conflicts(access.usage(), usage), waits, "{access} after {usage}");
        }
    }
}

#[test]
fn c20_a_query_returns_its_class_and_all_lower_ones() {
    let entries: Vec<_> = (0..).zip(Usage::ALL).map(|(context, usage)| entry(context, 1, usage)).collect();
    for class in Usage::ALL {
        let found: Vec<_> = collect(&entries, class).map(|entry| entry.usage).collect();
        assert_eq!(found, Usage::ALL[..=usize::from(class.bits())]);
    }
}

#[test]
fn c22_done_fences_never_show() {
    let entries = [done(entry(1, 1, Usage::Write)), entry(2, 1, Usage::Write)];
    assert_eq!(collect(&entries, Usage::Bookkeep).map(|entry| entry.context).collect::<Vec<_>>(), [2]);
}

#[test]
fn c23_the_walk_stops_at_the_first_slot_that_fits() {
    // [signaled B][A WRITE 1] and A WRITE 2: the done slot is first, so both entries of A stay.
    let mut slots = vec![done(entry(20, 1, Usage::Read)), entry(10, 1, Usage::Write)];
    attach(&mut slots, entry(10, 2, Usage::Write));
    assert_eq!(slots, [entry(10, 2, Usage::Write), entry(10, 1, Usage::Write)]);

    // Without it the old entry of the context is replaced; an earlier fence never replaces a later one.
    let mut slots = vec![entry(20, 1, Usage::Read), entry(10, 5, Usage::Write)];
    attach(&mut slots, entry(10, 5, Usage::Write));
    attach(&mut slots, entry(10, 4, Usage::Write));
    let wanted = [entry(20, 1, Usage::Read), entry(10, 5, Usage::Write), entry(10, 4, Usage::Write)];
    assert_eq!(slots, wanted);
}

#[test]
fn c23_a_region_is_replaced_only_by_one_that_covers_it() {
    let part = |seq, mask| Entry { region: Region::from_bits(mask), ..entry(1, seq, Usage::Write) };
    assert_eq!(report(&[part(1, 0b01), part(2, 0b10)]).len(), 2);
    assert_eq!(report(&[part(1, 0b01), part(2, 0b11)]), [part(2, 0b11)]);
    assert_eq!(report(&[part(1, 0b11), part(2, 0b01)]).len(), 2);
    assert_eq!(report(&[part(1, 0b11), entry(1, 2, Usage::Write)]).len(), 1);
}

/// C9: who belongs to no line of work is neither before nor after anybody.
#[test]
fn c9_entries_of_no_context_never_stand_for_each_other() {
    let leases =
        [entry(NO_CONTEXT, 0, Usage::Read), entry(NO_CONTEXT, 0, Usage::Read), entry(NO_CONTEXT, 0, Usage::Write)];
    assert_eq!(report(&leases), leases);
    let mut slots = vec![done(leases[0])];
    attach(&mut slots, leases[1]);
    assert_eq!(slots, [leases[1]], "the slot of one that has ended is free");
}

#[test]
fn c26_several_writes_coexist_and_a_reader_gets_all() {
    let entries = [entry(1, 1, Usage::Write), entry(2, 1, Usage::Write), entry(3, 1, Usage::Read)];
    assert_eq!(report(&entries).len(), 3);
    assert_eq!(collect(&entries, Access::Read.waits()).count(), 2);
    assert_eq!(collect(&entries, Access::Write.waits()).count(), 3);
}

#[test]
fn c27_s21_a_read_is_promoted_by_a_write_of_its_context() {
    assert_eq!(report(&[entry(1, 1, Usage::Read), entry(1, 1, Usage::Write)]), [entry(1, 1, Usage::Write)]);
    assert_eq!(report(&[entry(1, 1, Usage::Read), entry(1, 2, Usage::Write)]), [entry(1, 2, Usage::Write)]);
}

#[test]
fn c28_s21_a_write_is_not_demoted_by_a_read_of_its_context() {
    let slots = report(&[entry(1, 1, Usage::Write), entry(1, 2, Usage::Read)]);
    assert_eq!(slots, [entry(1, 1, Usage::Write), entry(1, 2, Usage::Read)]);
    assert_eq!(collect(&slots, Access::Read.waits()).map(|entry| entry.seq).collect::<Vec<_>>(), [1]);
}

#[test]
fn c31_attaching_a_done_fence_changes_nothing() {
    let mut slots = vec![entry(1, 1, Usage::Read)];
    attach(&mut slots, done(entry(1, 2, Usage::Write)));
    assert_eq!(slots, [entry(1, 1, Usage::Read)]);
}

#[test]
fn s14_bookkeeping_is_seen_by_memory_management_only() {
    let entries = [entry(1, 1, Usage::Bookkeep)];
    for access in [Access::Read, Access::Write] {
        assert_eq!(collect(&entries, access.waits()).count(), 0);
    }
    assert_eq!(collect(&entries, Usage::Bookkeep).count(), 1);
    assert!(waits_for((Usage::Kernel, Region::WHOLE), (Usage::Bookkeep, Region::WHOLE)));
}

/// S8 and S9: writers of different cells, each with its own consumer.
#[test]
fn s9_disjoint_regions_do_not_wait() {
    let cell = |bit: u32| Region::from_bits(1 << bit);
    let writes: Vec<_> =
        (0..4_u64).map(|tile| Entry { region: cell(tile as u32), ..entry(tile, 1, Usage::Write) }).collect();
    for tile in 0..4 {
        let found: Vec<_> = collect_region(&writes, Usage::Write, cell(tile)).map(|entry| entry.context).collect();
        assert_eq!(found, [u64::from(tile)]);
    }
    assert_eq!(collect_region(&writes, Usage::Write, Region::WHOLE).count(), 4);
    let moved = Entry { region: cell(9), ..entry(9, 1, Usage::Kernel) };
    assert_eq!(collect_region(&[moved], Usage::Write, cell(0)).count(), 1);
}

fn usage() -> impl Strategy<Value = Usage> {
    proptest::sample::select(Usage::ALL.to_vec())
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (0..3_u64, 0..5_u64, usage(), 0..8_u64, proptest::bool::weighted(0.2)).prop_map(
        |(context, seq, usage, mask, done)| Entry { context, seq, usage, region: Region::from_bits(mask), done },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn waiting_is_symmetric_and_regions_only_take_away(
        (a, b) in (usage(), usage()),
        (m, n) in (any::<u64>(), any::<u64>()),
    ) {
        let (m, n) = (Region::from_bits(m), Region::from_bits(n));
        prop_assert_eq!(waits_for((a, m), (b, n)), waits_for((b, n), (a, m)));
        prop_assert_eq!(waits_for((a, Region::WHOLE), (b, n)), conflicts(a, b));
        prop_assert!(!waits_for((a, m), (b, n)) || conflicts(a, b));
    }

    /// C23 merges entries, and yet whoever waits for what the report lists has waited for everything.
    #[test]
    fn c23_a_report_hides_nothing(entries in proptest::collection::vec(any_entry(), 0..12)) {
        let slots = report(&entries);
        for old in entries.iter().filter(|entry| !entry.done) {
            let stands_in = |slot: &Entry| {
                slot.context == old.context
                    && slot.seq >= old.seq
                    && slot.usage <= old.usage
                    && slot.region.covers(old.region)
            };
            prop_assert!(slots.iter().any(stands_in), "{:?} is gone from {:?}", old, slots);
        }
        for slot in &slots {
            prop_assert!(entries.contains(slot) && !slot.done);
        }
    }
}
