//! The export flags, every pair of them on both devices: the decision, the metadata, and what consumers then see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{Parts, bytes_of, image, lease, refusal, soon, surface};
use handover::{
    Access, Compression, Device, Elements, ExportFlags, Kind, Metadata, Region, Resolve, Stage, Surface, Writers,
    acquire, export, flush, import,
};
use handover_model::export::{Outcome, Reason};
use handover_model::metadata::blocks::BlocksMetadata;

const READ: ExportFlags = ExportFlags::READ;
const WRITE: ExportFlags = ExportFlags::WRITE;
const BOTH: ExportFlags = READ.union(WRITE);
const FLUSHED: ExportFlags = ExportFlags::EXPLICIT_FLUSH;
const ALL: [ExportFlags; 6] = [READ, WRITE, BOTH, READ.union(FLUSHED), WRITE.union(FLUSHED), BOTH.union(FLUSHED)];

const SIZE: (u32, u32) = (21, 13);
const PIXELS: usize = 21 * 13;
/// The clear colour that the metadata of `blocks` tells everybody.
const PUBLIC: u32 = 0xff00_0000;

/// Who resolves, and is the content compressed? Written down from the rule, not taken from the code under test.
#[derive(Clone, Copy)]
struct Expected {
    outcome: Outcome,
    reason: Reason,
    resolve: Resolve,
    changed: bool,
    resolve_now: bool,
}

fn expected(device: Device, before: &[ExportFlags], flags: ExportFlags) -> Expected {
    let kept = |exports: &[ExportFlags]| !exports.iter().any(|flags| flags.contains(WRITE));
    let resolve = |exports: &[ExportFlags]| match exports.iter().all(|flags| flags.contains(FLUSHED)) {
        _ if exports.is_empty() || !kept(exports) => Resolve::Nothing,
        true => Resolve::ByFlush,
        false => Resolve::ByTracking,
    };
    if device == Device::PLAIN {
        let (outcome, reason) = (Outcome::NeverHad, Reason::NotCompressible);
        return Expected { outcome, reason, resolve: Resolve::Nothing, changed: false, resolve_now: false };
    }
    let all: Vec<_> = before.iter().copied().chain([flags]).collect();
    let (outcome, reason) = match (kept(&all), flags.contains(WRITE)) {
        (true, _) => (Outcome::Kept, Reason::ReadOnlyConsumer),
        (false, true) => (Outcome::Dropped, Reason::ConsumerMayWrite),
        (false, false) => (Outcome::Dropped, Reason::AlreadyDropped),
    };
    let tracks = |exports: &[ExportFlags]| resolve(exports) == Resolve::ByTracking;
    let (changed, resolve_now) = (kept(before) && !kept(&all), tracks(&all) && !tracks(before));
    Expected { outcome, reason, resolve: resolve(&all), changed, resolve_now }
}

/// Clears to a colour, writes one run over it, and ends the submission. Gives the picture, and what somebody sees who knows
/// the metadata's clear colour only: tiles the run touches are stored, the others are not.
fn draw(surface: &Surface, colour: u32) -> (Vec<u32>, Vec<u32>) {
    let lease = lease(surface, Access::Write);
    let view = lease.write(surface).unwrap();
    view.clear(colour).unwrap();
    view.write(0, Elements(6), 9, &bytes_of(&[1, 2, 3, 4])).unwrap();
    drop(view);
    lease.release().unwrap();
    let picture = |clear: u32| {
        let mut pixels = vec![colour; PIXELS];
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let (x, y) = (i % 21, i / 21);
            if y < 8 || x >= 16 {
                *pixel = clear;
            }
            if y == 9 && (6..10).contains(&x) {
                *pixel = x as u32 - 5;
            }
        }
        pixels
    };
    (picture(colour), picture(PUBLIC))
}

fn check_metadata(surface: &Surface, device: Device, outcome: Outcome) {
    let block = surface.metadata().unwrap().block;
    if device == Device::BLOCKS {
        let found = BlocksMetadata::decode(&block).unwrap();
        assert_eq!(found.compression.is_some(), outcome == Outcome::Kept);
        assert_eq!((Some(found.extent), Some(found.format)), (surface.layout().extent(), surface.format()));
        assert_eq!(found.clear_colour, PUBLIC, "a private colour is nobody's business");
    }
    let header = block.header().unwrap();
    let own = device.header().unwrap();
    assert_eq!((header.vendor_id, header.pci_id), (own.vendor_id, own.pci_id));
}

#[test]
fn every_pair_of_exports_on_both_devices() {
    for device in [Device::PLAIN, Device::BLOCKS] {
        for first in ALL {
            for second in ALL {
                pair(device, first, second);
            }
        }
    }
}

fn pair(device: Device, first: ExportFlags, second: ExportFlags) {
    let what = format!("{device}: {first}, then {second}");
    let ours = surface(device, SIZE, Writers::Open);
    let consumer = if device == Device::PLAIN { Device::PLAIN } else { Device::PLAIN.with_blocks_decoder() };
    let mut before = Vec::new();
    let mut handles: Vec<Parts> = Vec::new();
    // Left unresolved before anybody was told.
    draw(&ours, 0x11_2233);
    for (flags, colour) in [(first, 0x44_5566), (second, 0x77_8899)] {
        let generation = imports(&handles, consumer);
        let expected = expected(device, &before, flags);
        let exported = export(&ours, flags, soon()).unwrap();
        let decision = exported.decision;
        assert_eq!((decision.compression, decision.reason), (expected.outcome, expected.reason), "{what}");
        assert_eq!(decision.resolve, expected.resolve, "{what}");
        assert_eq!((decision.changed, decision.resolve_now), (expected.changed, expected.resolve_now), "{what}");
        assert_eq!(exported.handle.flags(), flags, "{what}");
        handles.push(Parts::of(exported.handle));
        before.push(flags);
        check_metadata(&ours, device, expected.outcome);

        // Earlier imports learn of a change of layout, and of nothing else.
        for theirs in generation {
            let acquired = acquire(&[(&theirs, Access::Read, Region::WHOLE)], soon());
            match expected.changed {
                true => assert_eq!(*refusal(&what, acquired).kind(), Kind::LayoutChanged, "{what}"),
                false => drop(acquired.unwrap().wait().unwrap()),
            }
        }

        let (picture, unresolved) = draw(&ours, colour);
        assert_eq!(image(&ours), picture, "{what}: the producer itself");
        let seen = if expected.resolve == Resolve::ByFlush { &unresolved } else { &picture };
        for theirs in imports(&handles, consumer) {
            assert_eq!(image(&theirs), *seen, "{what}: before flush");
        }
        let lease = lease(&ours, Access::Write);
        let flushed = flush(&lease, &ours).unwrap();
        lease.release().unwrap();
        // 3 × 2 tiles, of which the run stored two. What was resolved already is not resolved again.
        assert_eq!(flushed, if expected.resolve == Resolve::ByFlush { 4 } else { 0 }, "{what}");
        for theirs in imports(&handles, consumer) {
            assert_eq!(image(&theirs), picture, "{what}: after flush");
        }
    }
}

fn imports(handles: &[Parts], consumer: Device) -> Vec<Surface> {
    handles.iter().map(|parts| import(parts.handle(), consumer).unwrap()).collect()
}

#[test]
fn an_export_that_loses_explicit_flush_resolves_what_nobody_tracked() {
    let ours = surface(Device::BLOCKS, SIZE, Writers::Me);
    let first = export(&ours, READ | FLUSHED, soon()).unwrap();
    let theirs = import(first.handle, Device::BLOCKS).unwrap();
    let (picture, unresolved) = draw(&ours, 0xab_cdef);
    assert_eq!(image(&theirs), unresolved);
    let second = export(&ours, READ, soon()).unwrap();
    assert_eq!((second.decision.resolve, second.decision.resolve_now), (Resolve::ByTracking, true));
    // The layout did not change: the earlier import goes on, and now sees it.
    assert_eq!(image(&theirs), picture);
    // Weakening is one-way.
    let third = export(&ours, READ | FLUSHED, soon()).unwrap();
    assert_eq!(third.decision.resolve, Resolve::ByTracking);
    let (picture, _) = draw(&ours, 0x12_3456);
    assert_eq!(image(&theirs), picture);
}

#[test]
fn equal_flags_get_equal_decisions_and_equal_metadata_whoever_asks() {
    for device in [Device::PLAIN, Device::BLOCKS] {
        for flags in ALL {
            let mut seen = Vec::new();
            for consumer in [Device::BLOCKS, Device::PLAIN.with_blocks_decoder()] {
                let ours = surface(device, SIZE, Writers::Open);
                let exported = export(&ours, flags, soon()).unwrap();
                let theirs = import(exported.handle, consumer).unwrap();
                seen.push((exported.decision, theirs.metadata().unwrap()));
            }
            assert_eq!(seen[0], seen[1], "{device}, {flags}");

            // On one surface, too: the second of two equal exports decides as a second one would for anybody.
            let ours = surface(device, SIZE, Writers::Open);
            let (first, metadata) = (export(&ours, flags, soon()).unwrap().decision, ours.metadata().unwrap());
            let again = export(&ours, flags, soon()).unwrap().decision;
            let told = |d: handover::Decision| (d.compression, d.reason, d.resolve);
            assert_eq!(told(first), told(again), "{device}, {flags}");
            assert_eq!(ours.metadata().unwrap(), metadata, "{device}, {flags}");
        }
    }
}

#[test]
fn neither_read_nor_write_is_refused_and_changes_nothing() {
    for device in [Device::PLAIN, Device::BLOCKS] {
        let ours = surface(device, SIZE, Writers::Open);
        let metadata = ours.metadata().unwrap();
        for flags in [
            ExportFlags::empty(),
            FLUSHED,
            ExportFlags::from_bits_retain(0x80),
            READ | ExportFlags::from_bits_retain(8),
        ] {
            let error = refusal("flags", export(&ours, flags, soon()));
            assert_eq!((error.stage(), error.kind()), (Stage::Export, &Kind::Invalid), "{error}");
        }
        assert_eq!(ours.metadata().unwrap(), metadata);
        // Had the refused flags counted, EXPLICIT_FLUSH would be lost.
        let decision = export(&ours, READ | FLUSHED, soon()).unwrap().decision;
        assert_eq!(decision.resolve == Resolve::ByFlush, device == Device::BLOCKS);
    }
}

#[test]
fn a_consumer_exports_and_flushes_nothing() {
    let ours = surface(Device::BLOCKS, SIZE, Writers::Open);
    let theirs = import(export(&ours, BOTH, soon()).unwrap().handle, Device::BLOCKS).unwrap();
    let error = refusal("export", export(&theirs, READ, soon()));
    assert_eq!((error.stage(), error.kind()), (Stage::Export, &Kind::Invalid), "{error}");
    let held = lease(&theirs, Access::Write);
    let error = refusal("flush", flush(&held, &theirs));
    assert_eq!((error.stage(), error.kind()), (Stage::Flush, &Kind::Invalid), "{error}");
    // Nor does the producer by somebody else's lease.
    let error = refusal("flush by another's lease", flush(&held, &ours));
    assert_eq!((error.stage(), error.kind()), (Stage::Flush, &Kind::Invalid), "{error}");
    held.release().unwrap();
    let held = lease(&ours, Access::Read);
    refusal("flush by a READ lease", flush(&held, &ours));
}

#[test]
fn a_consumer_that_cannot_decode_is_refused_by_import() {
    let ours = surface(Device::BLOCKS, SIZE, Writers::Me);
    let parts = Parts::of(export(&ours, READ, soon()).unwrap().handle);
    let good = ours.metadata().unwrap();
    let refused = |what: &str, device: Device| {
        let error = refusal(what, import(parts.handle(), device));
        assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Unsupported), "{what}: {error}");
        error.to_string()
    };
    let text = refused("no decoder", Device::PLAIN);
    assert!(text.contains("blocks (simulated)") && text.contains("plain (simulated)"), "{text}");
    assert!(import(parts.handle(), Device::PLAIN.with_blocks_decoder()).is_ok());

    let altered = |at: usize, byte: u8| {
        let mut bytes = good.block.stored().to_vec();
        bytes[at] = byte;
        Metadata { block: handover::Block::new(&bytes).unwrap(), ..good }
    };
    // Header: version, flags, PCI ID, vendor, 16 bits each.
    for (what, metadata) in [
        ("an unknown version", altered(0, 2)),
        ("unknown flags", altered(2, 1)),
        ("another device", altered(4, 9)),
        ("a foreign vendor", altered(6, 0x02)),
        ("no metadata", Metadata::default()),
        ("half a header", Metadata { block: handover::Block::new(&[1, 0, 0, 0]).unwrap(), ..good }),
    ] {
        ours.set_metadata(&metadata).unwrap();
        refused(what, Device::BLOCKS);
        refused(what, Device::PLAIN.with_blocks_decoder());
    }
    // Of another surface: it contradicts the handle.
    ours.set_metadata(&altered(8, 77)).unwrap();
    assert_eq!(*refusal("another's", import(parts.handle(), Device::BLOCKS)).kind(), Kind::Malformed);
    ours.set_metadata(&good).unwrap();
    assert!(import(parts.handle(), Device::BLOCKS).is_ok());
}

#[test]
fn without_compression_asked_for_there_is_nothing_to_decide() {
    let offer = |party, usages| Device::BLOCKS.offer(party, &[handover::Format::XRGB8888], usages);
    let offers = [offer("producer", handover::SurfaceUsages::WRITE), offer("consumer", handover::SurfaceUsages::READ)];
    let agreement = handover::negotiate(handover::Extent::new(SIZE.0, SIZE.1).unwrap(), &offers).unwrap();
    let options = handover::Options { compression: Compression::None, ..Default::default() };
    let ours = handover::allocate(Device::BLOCKS, &agreement, &options).unwrap().remove(0);
    let exported = export(&ours, READ | FLUSHED, soon()).unwrap();
    assert_eq!((exported.decision.compression, exported.decision.resolve), (Outcome::NeverHad, Resolve::Nothing));
    let theirs = import(exported.handle, Device::BLOCKS).unwrap();
    let (picture, _) = draw(&ours, 0x99_8877);
    assert_eq!(image(&theirs), picture, "nothing to flush");
}
