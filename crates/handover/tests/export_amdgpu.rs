//! AMDGPU's export rule on simulated chips, by the numbers of its steps: what each export does, says, and leaves for a consumer to see.
//!
//! Not here, since no surface of ours is such: a further plane by itself (1), several samples and depth (2), memory that has to be left (3),
//! the debug option (4a). Those are tested on the plan alone, in `handover-model`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{lease, soon};
use handover::allocate::Display;
use handover::export::Step;
use handover::{
    Access, Compression, Device, ExportFlags, Extent, Format, Modifier, Options, Resolve, Surface, SurfaceUsages,
    Writers, allocate, export, import, negotiate,
};
use handover_model::export::amdgpu::{Drop, Stays, Write};
use handover_model::export::{Outcome, Reason};

const SIZE: (u32, u32) = (300, 200);
const FORMAT: Format = Format::XRGB8888;
const READ: ExportFlags = ExportFlags::READ;
const WRITE: ExportFlags = ExportFlags::WRITE;
const FLUSH: ExportFlags = ExportFlags::EXPLICIT_FLUSH;
const RETILE: Modifier = Modifier(0x0200_0000_2096_7b03);

const FIRST: Step = Step::WriteMetadata(Write::First);
const DROPPED: Step = Step::WriteMetadata(Write::Dropped);
const ELIMINATE: Step = Step::EliminateFastClears;
const RETILED: Step = Step::RetileDisplayDcc;

/// What is exported.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// No modifier, for this use by a display, on this chip.
    Implicit(Device, Display),
    /// No modifier and no compression.
    Plain(Device),
    /// A modifier with DCC_RETILE.
    Retile(Display),
    /// The best modifier, with DCC for the renderer alone.
    Pipes(Device),
}

fn extent() -> Extent {
    Extent::new(SIZE.0, SIZE.1).unwrap()
}

fn make(of: Of) -> Surface {
    let open = Options { writers: Writers::Open, ..Options::default() };
    let (device, modifier, options) = match of {
        Of::Implicit(device, display) => (device, None, Options { display, ..open }),
        Of::Plain(device) => (device, None, Options { compression: Compression::None, ..open }),
        Of::Retile(display) => (Device::NAVI21, Some(RETILE), Options { display, ..open }),
        Of::Pipes(device) => (device, Some(device.modifiers(FORMAT)[0]), open),
    };
    let Some(modifier) = modifier else {
        return allocate::implicit(device, FORMAT, extent(), &options).unwrap().remove(0);
    };
    let mut offer = device.offer("one", &[FORMAT], SurfaceUsages::RENDER);
    offer.entries.retain(|entry| entry.modifier == modifier);
    allocate(device, &negotiate(extent(), &[offer]).unwrap(), &options).unwrap().remove(0)
}

fn content() -> Vec<u8> {
    let row = SIZE.0 * 4;
    let one = |at: u32| at / row < 100 && at % row < 400;
    let noise = |at: u32| at.wrapping_mul(0x9e37_79b9).to_be_bytes()[0];
    (0..row * SIZE.1).map(|at| if one(at) { 7 } else { noise(at) }).collect()
}

fn draw(surface: &Surface) {
    let held = lease(surface, Access::Write);
    let view = held.write(surface).unwrap();
    // Both kinds of what a flush writes out: a fast clear, and states that the display has not.
    view.clear(0x0011_2233).unwrap();
    view.write_image(0, &content(), SIZE.0 as usize * 4).unwrap();
    drop(view);
    held.release().unwrap();
}

fn seen(surface: &Surface) -> Vec<u8> {
    let held = lease(surface, Access::Read);
    let mut content = vec![0; (SIZE.0 * SIZE.1 * 4) as usize];
    held.read(surface).unwrap().read_image(0, &mut content, SIZE.0 as usize * 4).unwrap();
    held.release().unwrap();
    content
}

/// Rule, surface, earlier exports, this one; its steps, what becomes of the compression and why, and who writes out from then on.
type Case = (&'static str, Of, &'static [ExportFlags], ExportFlags, &'static [Step], (Outcome, Reason, Resolve));

const NAVI: Device = Device::NAVI21;
const VEGA: Device = Device::VEGA10;
const DCC: Of = Of::Implicit(NAVI, Display::None);
const SCANOUT: Of = Of::Implicit(NAVI, Display::Scanout);
const SHOWN: Of = Of::Implicit(NAVI, Display::CanRead);
const READ_FLUSH: ExportFlags = READ.union(FLUSH);
const WRITE_FLUSH: ExportFlags = WRITE.union(FLUSH);

const KEPT: (Outcome, Reason, Resolve) = (Outcome::Kept, Reason::ReadOnlyConsumer, Resolve::ByFlush);
const TRACKED: (Outcome, Reason, Resolve) = (Outcome::Kept, Reason::ReadOnlyConsumer, Resolve::ByTracking);
const PROMISED: (Outcome, Reason, Resolve) = (Outcome::Kept, Reason::ModifierPromises, Resolve::ByTracking);
const NONE: (Outcome, Reason, Resolve) = (Outcome::NeverHad, Reason::NotCompressible, Resolve::Nothing);

const fn dropped(why: Reason) -> (Outcome, Reason, Resolve) {
    (Outcome::Dropped, why, Resolve::Nothing)
}

const CASES: &[Case] = &[
    (
        "4b a consumer that writes",
        DCC,
        &[],
        WRITE_FLUSH,
        &[Step::DropDcc(Drop::ShaderWrite), FIRST],
        dropped(Reason::ConsumerMayWrite),
    ),
    (
        "4b on GFX9",
        Of::Implicit(VEGA, Display::None),
        &[],
        WRITE,
        &[Step::DropDcc(Drop::ShaderWrite), FIRST],
        dropped(Reason::ConsumerMayWrite),
    ),
    (
        "4b before 4c",
        SCANOUT,
        &[],
        WRITE,
        &[Step::DropDcc(Drop::ShaderWrite), FIRST],
        dropped(Reason::ConsumerMayWrite),
    ),
    ("4c a front buffer", SCANOUT, &[], READ, &[Step::DropDcc(Drop::FrontBuffer), FIRST], dropped(Reason::FrontBuffer)),
    ("4c flushes promised", SCANOUT, &[], READ_FLUSH, &[FIRST], KEPT),
    (
        "4d a display DCC to retile",
        SHOWN,
        &[],
        READ,
        &[Step::DropDcc(Drop::StaleDisplayDcc), FIRST],
        dropped(Reason::StaleDisplayDcc),
    ),
    ("4d flushes promised", SHOWN, &[], READ_FLUSH, &[FIRST], KEPT),
    ("4d several planes", Of::Retile(Display::CanRead), &[], READ, &[ELIMINATE, RETILED, FIRST], PROMISED),
    (
        "4b, modifier",
        Of::Retile(Display::None),
        &[],
        WRITE,
        &[Step::DccStays(Drop::ShaderWrite, Stays::Modifier), ELIMINATE, RETILED, FIRST],
        PROMISED,
    ),
    (
        "4c, modifier",
        Of::Retile(Display::Scanout),
        &[],
        READ,
        &[Step::DccStays(Drop::FrontBuffer, Stays::Modifier), ELIMINATE, RETILED, FIRST],
        PROMISED,
    ),
    ("4, no DCC", Of::Plain(NAVI), &[], WRITE, &[FIRST], NONE),
    ("4, a display without DCC", Of::Implicit(VEGA, Display::Scanout), &[], READ, &[FIRST], NONE),
    ("5 DCC and no promise", DCC, &[], READ, &[ELIMINATE, FIRST], TRACKED),
    ("5, modifier", Of::Pipes(VEGA), &[], READ, &[ELIMINATE, FIRST], PROMISED),
    ("5 flushes promised", DCC, &[], READ_FLUSH, &[FIRST], KEPT),
    ("6 not written again", DCC, &[READ_FLUSH], READ_FLUSH, &[], KEPT),
    (
        "6 written again",
        DCC,
        &[READ_FLUSH],
        WRITE_FLUSH,
        &[Step::DropDcc(Drop::ShaderWrite), DROPPED],
        dropped(Reason::ConsumerMayWrite),
    ),
    ("7 a promise lost stays lost", DCC, &[READ_FLUSH, READ], READ_FLUSH, &[], TRACKED),
    (
        "again: the promise goes, front buffer",
        SCANOUT,
        &[READ_FLUSH],
        READ,
        &[Step::DropDcc(Drop::FrontBuffer), DROPPED],
        dropped(Reason::FrontBuffer),
    ),
    (
        "again: the promise goes, display DCC",
        SHOWN,
        &[READ_FLUSH],
        READ,
        &[Step::DropDcc(Drop::StaleDisplayDcc), DROPPED],
        dropped(Reason::StaleDisplayDcc),
    ),
    ("again: the promise goes, DCC", DCC, &[READ_FLUSH], READ, &[ELIMINATE], TRACKED),
    (
        "again: the promise goes, modifier",
        Of::Retile(Display::None),
        &[READ_FLUSH],
        READ,
        &[ELIMINATE, RETILED],
        PROMISED,
    ),
    ("again: the promise comes back", SCANOUT, &[READ], READ_FLUSH, &[], dropped(Reason::AlreadyDropped)),
    ("again: writes after a drop", SCANOUT, &[READ], WRITE, &[], dropped(Reason::AlreadyDropped)),
];

#[test]
fn every_export_does_what_the_rule_says_and_leaves_the_picture() {
    for (rule, of, earlier, flags, steps, (outcome, reason, resolve)) in CASES {
        let ours = make(*of);
        let device = *ours.device();
        let earlier: Vec<_> = earlier.iter().map(|flags| export(&ours, *flags, soon()).unwrap().handle).collect();
        let told = ours.metadata().unwrap();
        let before: Vec<_> = earlier.into_iter().map(|handle| import(handle, device).unwrap()).collect();
        draw(&ours);
        let exported = export(&ours, *flags, soon()).unwrap();
        assert_eq!(exported.steps, *steps, "{rule}");
        let decision = exported.decision;
        assert_eq!((decision.compression, decision.reason, decision.resolve), (*outcome, *reason, *resolve), "{rule}");
        let drops = steps.iter().any(|step| matches!(step, Step::DropDcc(_)));
        assert_eq!((decision.changed, ours.metadata().unwrap() != told), (drops, drops), "{rule}");

        // Who imported before is told of a drop, and of nothing else.
        for theirs in before {
            let held = handover::acquire(&[(&theirs, Access::Read, handover::Region::WHOLE)], soon());
            let held = held.and_then(handover::Acquire::wait);
            assert_eq!(held.is_err(), drops, "{rule}: {held:?}");
        }
        let theirs = import(exported.handle, device).unwrap();
        assert_eq!(theirs.layout().has_compression(), *outcome == Outcome::Kept, "{rule}");
        assert!(seen(&theirs) == content(), "{rule}: another picture");
        assert!(seen(&ours) == content(), "{rule}: another picture for the producer");
        // What the display sees is up to date unless a flush is promised for it.
        let display = device.display().unwrap();
        if display.reads(theirs.modifier()) && *resolve != Resolve::ByFlush {
            let shown = import(export(&ours, READ, soon()).unwrap().handle, display).unwrap();
            assert!(seen(&shown) == content(), "{rule}: the display");
        }
    }
}

/// A step that changes the content is a job: it waits for who reads, and who comes later waits for it.
#[test]
fn a_drop_for_a_display_waits_for_readers() {
    for of in [SCANOUT, SHOWN] {
        let ours = make(of);
        draw(&ours);
        let theirs = import(export(&ours, READ_FLUSH, soon()).unwrap().handle, NAVI).unwrap();
        let held = lease(&theirs, Access::Read);
        let early = export(&ours, READ, common::millis(60)).expect_err("a drop under a reader");
        assert!(early.is_timeout(), "{of:?}: {early}");
        held.release().unwrap();
        let late = export(&ours, READ, soon()).unwrap();
        assert!(late.decision.changed, "{of:?}: the export that timed out changed nothing");
    }
}
