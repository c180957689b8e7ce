//! AMDGPU's export rule on simulated chips, by the numbers of its steps: what each export does, says, and leaves for a consumer to see.
//!
//! Not here, since no surface of ours is such: a further plane by itself (1), several samples and depth (2), memory that has to be left (3),
//! the debug option (4a). Those are tested on the plan alone, in `handover-model`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{Parts, lease, soon};
use handover::allocate::Display;
use handover::export::Step;
use handover::{
    Access, Compression, Device, Elements, ExportFlags, Extent, Format, Modifier, Options, Resolve, Surface,
    SurfaceUsages, Writers, allocate, export, flush, import, negotiate,
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

/// What is drawn before an export. Whoever draws a whole image sets the state of every block, and leaves no fast clear to write out: only
/// what is left of a clear shows whether an export does that.
#[derive(Debug, Clone, Copy)]
enum Drawn {
    Image,
    Clear,
    /// A clear, and then these many rows.
    Rows(u32),
}

const COLOUR: u32 = 0x0011_2233;

/// Draws, and gives the picture.
fn draw(surface: &Surface, drawn: Drawn) -> Vec<u8> {
    let row = SIZE.0 as usize * 4;
    let held = lease(surface, Access::Write);
    let view = held.write(surface).unwrap();
    view.clear(COLOUR).unwrap();
    let mut picture = COLOUR.to_le_bytes().repeat((SIZE.0 * SIZE.1) as usize);
    let rows = match drawn {
        Drawn::Image => {
            picture = content();
            view.write_image(0, &picture, row).unwrap();
            0
        }
        Drawn::Clear => 0,
        Drawn::Rows(rows) => rows,
    };
    for ((y, from), into) in (0..rows).zip(content().chunks(row)).zip(picture.chunks_mut(row)) {
        into.copy_from_slice(from);
        view.write(0, Elements(0), y, from).unwrap();
    }
    drop(view);
    held.release().unwrap();
    picture
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
    for case in CASES {
        // The last leaves a block that is drawn in part.
        [Drawn::Image, Drawn::Clear, Drawn::Rows(97)].into_iter().for_each(|drawn| check(case, drawn));
    }
}

fn check((rule, of, earlier, flags, steps, (outcome, reason, resolve)): &Case, drawn: Drawn) {
    let rule = format!("{rule}, {drawn:?}");
    let ours = make(*of);
    let device = *ours.device();
    let earlier: Vec<_> = earlier.iter().map(|flags| export(&ours, *flags, soon()).unwrap().handle).collect();
    let told = ours.metadata().unwrap();
    let before: Vec<_> = earlier.into_iter().map(|handle| import(handle, device).unwrap()).collect();
    let picture = draw(&ours, drawn);
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
    if *resolve == Resolve::ByFlush {
        // The producer promised it.
        let held = lease(&ours, Access::Write);
        flush(&held, &ours).unwrap();
        held.release().unwrap();
    }
    // One handle for both consumers: another export might write out what this one left.
    let parts = Parts::of(exported.handle);
    let theirs = import(parts.handle(), device).unwrap();
    assert_eq!(theirs.layout().has_compression(), *outcome == Outcome::Kept, "{rule}");
    assert!(seen(&theirs) == picture, "{rule}: another picture");
    assert!(seen(&ours) == picture, "{rule}: another picture for the producer");
    let display = device.display().unwrap();
    if display.reads(theirs.modifier()) {
        let shown = import(parts.handle(), display).unwrap();
        assert!(seen(&shown) == picture, "{rule}: the display");
    }
}

/// A step that changes the content is a job: it waits for who reads, and who comes later waits for it.
#[test]
fn a_drop_for_a_display_waits_for_readers() {
    for of in [SCANOUT, SHOWN] {
        let ours = make(of);
        draw(&ours, Drawn::Image);
        let theirs = import(export(&ours, READ_FLUSH, soon()).unwrap().handle, NAVI).unwrap();
        let held = lease(&theirs, Access::Read);
        let early = export(&ours, READ, common::millis(60)).expect_err("a drop under a reader");
        assert!(early.is_timeout(), "{of:?}: {early}");
        held.release().unwrap();
        let late = export(&ours, READ, soon()).unwrap();
        assert!(late.decision.changed, "{of:?}: the export that timed out changed nothing");
    }
}
