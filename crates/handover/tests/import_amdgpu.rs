//! AMDGPU's import rule on simulated chips, by the numbers of its steps: what each import does, and what refuses, with what was asked for
//! and what is required.
//!
//! Not here: a chip that pretended to be another (3) and an image larger than the caller's (7), which nothing of ours writes. Those are
//! tested on the plan alone, in `handover-model`; metadata that lies (7) is in `chips.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{Parts, at, refusal, soon};
use handover::allocate::Display;
use handover::import::{Foreign, Step, foreign};
use handover::{
    Access, Bytes, Device, ExportFlags, Extent, Format, Handle, Kind, Layout, Modifier, Options, PlaneLayout, Stage,
    Surface, SurfaceUsages, Writers, allocate, export, import, negotiate,
};
use handover_model::metadata::amdgpu::{Ignored, Outcome};
use handover_model::{Message, SurfaceMessage};

const SIZE: (u32, u32) = (300, 400);
const FORMAT: Format = Format::XRGB8888;
const NAVI: Device = Device::NAVI21;
const PLAIN: Modifier = Modifier(0x0200_0000_2080_1b03);
const RETILE: Modifier = Modifier(0x0200_0000_2096_7b03);
const READ: ExportFlags = ExportFlags::READ.union(ExportFlags::EXPLICIT_FLUSH);
const BY_MODIFIER: Step = Step::Block(Outcome::Ignored(Ignored::Modifier));

fn with_modifier(modifier: Modifier) -> Surface {
    let mut offer = NAVI.offer("one", &[FORMAT], SurfaceUsages::RENDER);
    offer.entries.retain(|entry| entry.modifier == modifier);
    let agreement = negotiate(Extent::new(SIZE.0, SIZE.1).unwrap(), &[offer]).unwrap();
    let options = Options { writers: Writers::Open, ..Options::default() };
    allocate(NAVI, &agreement, &options).unwrap().remove(0)
}

fn implicit(display: Display) -> Surface {
    let options = Options { writers: Writers::Open, display, ..Options::default() };
    allocate::implicit(NAVI, FORMAT, Extent::new(SIZE.0, SIZE.1).unwrap(), &options).unwrap().remove(0)
}

fn handed(surface: &Surface) -> Handle {
    export(surface, READ, soon()).unwrap().handle
}

#[test]
fn each_import_does_its_steps_in_order() {
    let retile = with_modifier(RETILE);
    // A modifier supersedes them (4), so it does not matter that they are gone.
    retile.set_metadata(&handover::Metadata::default()).unwrap();
    let (linear, tiled) = (with_modifier(Modifier::LINEAR), with_modifier(PLAIN));
    let (dcc, shown) = (implicit(Display::None), implicit(Display::Scanout));
    let stride = Step::Stride(Bytes(1536));
    let by = Step::LayoutOfModifier;
    let cases: [(&str, &Surface, Device, &[Step]); 7] = [
        ("linear", &linear, NAVI, &[by(Modifier::LINEAR), Step::Stride(Bytes(1280)), BY_MODIFIER, Step::Fits]),
        ("tiled", &tiled, NAVI, &[by(PLAIN), stride, BY_MODIFIER, Step::Fits]),
        ("two further planes", &retile, NAVI, &[by(RETILE), stride, Step::Planes(2), BY_MODIFIER, Step::Fits]),
        ("no modifier", &dcc, NAVI, &[Step::LayoutOfWord, stride, Step::Block(Outcome::Keep), Step::Fits]),
        ("for a display", &shown, NAVI, &[Step::LayoutOfWord, stride, Step::Block(Outcome::Keep), Step::Fits]),
        ("another vendor's device", &linear, Device::TURING, &[]),
        ("a chip that decodes what it does not make", &tiled, Device::VEGA10.with_decoder(), &[]),
    ];
    for (what, ours, device, steps) in cases {
        let theirs = import(handed(ours), device).unwrap();
        assert_eq!(theirs.import_steps(), steps, "{what}");
        assert!(ours.import_steps().is_empty(), "{what}: its producer imported nothing");
    }
    // Once DCC is dropped, the block says so.
    export(&dcc, ExportFlags::WRITE, soon()).unwrap();
    let theirs = import(handed(&dcc), NAVI).unwrap();
    assert_eq!(theirs.import_steps(), [Step::LayoutOfWord, stride, Step::Block(Outcome::None), Step::Fits]);
    let bytes = allocate::buffer(NAVI, Bytes(4096), &Options::default()).unwrap().remove(0);
    assert!(import(handed(&bytes), NAVI).unwrap().import_steps().is_empty(), "a buffer has no layout");
    // Every plane of pixels by itself.
    let offer = NAVI.offer("one", &[Format::NV12], SurfaceUsages::RENDER);
    let agreement = negotiate(Extent::new(640, 480).unwrap(), &[offer]).unwrap();
    let video = allocate(NAVI, &agreement, &Options::default()).unwrap().remove(0);
    assert_eq!(import(handed(&video), NAVI).unwrap().import_steps().len(), 8);
}

/// The handle of this surface, which says that it is `height` rows of this layout in so many bytes.
fn alleged(surface: &Surface, height: u32, planes: &[PlaneLayout], memory: Bytes) -> handover::Result<Surface> {
    let handle = handed(surface);
    let message = handle.message().clone();
    let extent = Extent::new(SIZE.0, height).unwrap();
    let layout = Layout::from_allegation(Some(FORMAT), Some(extent), message.layout.modifier(), planes, memory)?;
    let message = Message::Surface(SurfaceMessage { layout, memory, ..message });
    let (_, descriptors) = handle.into_parts();
    import(Handle::from_parts(&message.encode(), descriptors.into())?, NAVI)
}

#[test]
fn what_the_chip_does_not_take_is_named_with_what_it_wants() {
    let (linear, tiled) = (with_modifier(Modifier::LINEAR), with_modifier(PLAIN));
    let (retile, shown) = (with_modifier(RETILE), implicit(Display::Scanout));
    let plane = |surface: &Surface, index: usize| handed(surface).message().layout.plane(index).unwrap();
    let memory = |surface: &Surface| handed(surface).message().memory;
    let [row, tile, whole] = [&linear, &tiled, &shown].map(|surface| plane(surface, 0));
    let [pixels, display, render] = [0, 1, 2].map(|index| plane(&retile, index));
    let strided = |plane: PlaneLayout, stride: u64| PlaneLayout { stride: Bytes(stride), ..plane };
    let rows = |stride: u64| PlaneLayout { size: Bytes(stride * 100), ..strided(row, stride) };
    let moved = |plane: PlaneLayout, by: u64| PlaneLayout { offset: Bytes(plane.offset.get() + by), ..plane };
    let short = |plane: PlaneLayout, by: u64| PlaneLayout { size: Bytes(plane.size.get() - by), ..plane };
    let cut = Bytes(render.end().unwrap().get() - 4096);

    type Case<'a> = (&'a str, &'a Surface, u32, Vec<PlaneLayout>, Bytes, &'a [&'a str]);
    let cases: [Case<'_>; 10] = [
        (
            "5 linear, between two multiples",
            &linear,
            100,
            vec![rows(1216)],
            memory(&linear),
            &["1216 bytes", "256 bytes"],
        ),
        ("5 tiled, between two blocks", &tiled, 100, vec![strided(tile, 1300)], memory(&tiled), &["1300"]),
        (
            "5 tiled, a longer one",
            &tiled,
            100,
            vec![strided(tile, 3072)],
            memory(&tiled),
            &["3072 bytes", "1536 bytes", "no pitch of their own"],
        ),
        (
            "5 DCC, a longer one",
            &retile,
            100,
            vec![strided(pixels, 3072), display, render],
            memory(&retile),
            &["3072 bytes", "1536 bytes", "DCC"],
        ),
        (
            "5 no modifier, a longer one",
            &shown,
            SIZE.1,
            vec![strided(whole, 3072)],
            memory(&shown),
            &["3072 bytes", "1536 bytes"],
        ),
        (
            "6 a plane missing",
            &retile,
            SIZE.1,
            vec![pixels, display],
            memory(&retile),
            &["1 planes past the first", "the modifier has 2"],
        ),
        (
            "6 a plane elsewhere",
            &retile,
            SIZE.1,
            vec![pixels, display, short(moved(render, 4096), 4096)],
            memory(&retile),
            &["plane 2", "puts it at"],
        ),
        (
            "6 another stride of a plane",
            &retile,
            SIZE.1,
            vec![pixels, strided(display, 1024), render],
            memory(&retile),
            &["plane 1", "a stride of 1024 bytes", "a stride of 512 bytes"],
        ),
        (
            "8 past the end",
            &retile,
            SIZE.1,
            vec![pixels, display, short(render, 4096)],
            cut,
            &["a buffer of", "ends past it"],
        ),
        (
            "2 an offset, without a modifier",
            &shown,
            SIZE.1,
            vec![short(moved(whole, 4096), 4096)],
            memory(&shown),
            &["a plane at 4096 bytes", "agreement on a modifier"],
        ),
    ];
    for (what, surface, height, planes, memory, says) in cases {
        let error = refusal(what, alleged(surface, height, &planes, memory));
        let fits = matches!(error.kind(), Kind::Malformed) || what.starts_with('2');
        assert!(error.stage() == Stage::Import && fits, "{what}: {error}");
        assert!(says.iter().all(|words| error.to_string().contains(words)), "{what}: {error}");
    }
    // A linear stride may be any multiple of the alignment.
    let longer = alleged(&linear, 100, &[rows(1536)], memory(&linear)).unwrap();
    assert!(longer.import_steps().contains(&Step::Stride(Bytes(1536))));
}

/// Step 5 on GFX8, whose descriptors have a pitch: a longer stride is taken, and it is by that stride that the pixels are read and have to fit.
#[test]
fn tiles_of_gfx8_are_read_at_the_stride_that_was_taken() {
    const POLARIS: Device = Device::POLARIS10;
    const ROWS: u32 = 96;
    let made = |width: u32| {
        let options = Options { writers: Writers::Open, ..Options::default() };
        allocate::implicit(POLARIS, FORMAT, Extent::new(width, ROWS).unwrap(), &options).unwrap().remove(0)
    };
    let picture = |width: u32| -> Vec<u8> {
        let pixels = (0..ROWS).flat_map(|y| (0..width).map(move |x| y << 16 | x));
        pixels.flat_map(u32::to_le_bytes).collect()
    };
    // What a producer does that lays 256 pixels out at a pitch of 512: its metadata tells of 256.
    let (narrow, wide) = (made(256), made(512));
    wide.set_metadata(&narrow.metadata().unwrap()).unwrap();
    let held = common::lease(&wide, Access::Write);
    held.write(&wide).unwrap().write_image(0, &picture(512), 2048).unwrap();
    held.release().unwrap();
    let alleged = |surface: &Surface, stride: u64| {
        let handle = handed(surface);
        let message = handle.message().clone();
        let plane = PlaneLayout { stride: Bytes(stride), ..message.layout.plane(0).unwrap() };
        let extent = Some(Extent::new(256, ROWS).unwrap());
        let layout =
            Layout::from_allegation(Some(FORMAT), extent, Modifier::INVALID, &[plane], message.memory).unwrap();
        let message = Message::Surface(SurfaceMessage { layout, ..message });
        let (_, descriptors) = handle.into_parts();
        import(Handle::from_parts(&message.encode(), descriptors.into())?, POLARIS)
    };
    let theirs = alleged(&wide, 2048).unwrap();
    assert!(theirs.import_steps().contains(&Step::Stride(Bytes(2048))), "{:?}", theirs.import_steps());
    assert_eq!(theirs.layout().plane(0), wide.layout().plane(0), "the layout that the chip computes at that stride");
    let held = common::lease(&theirs, Access::Read);
    let mut seen = vec![0; picture(256).len()];
    held.read(&theirs).unwrap().read_image(0, &mut seen, 1024).unwrap();
    assert!(seen == picture(256), "the left half of what was drawn");
    drop(held);

    let own = alleged(&narrow, 1024).unwrap();
    assert!(own.import_steps().contains(&Step::Stride(Bytes(1024))));
    for (what, stride, says) in [
        ("a buffer that ends before", 2048, "ends past the buffer"),
        ("between two tiles", 1280, "a multiple of 1024 bytes"),
        ("less than a row", 0, "a row needs 1024 bytes"),
    ] {
        let error = refusal(what, alleged(&narrow, stride));
        assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Malformed), "{what}: {error}");
        assert!(error.to_string().contains(says), "{what}: {error}");
    }
}

/// Step 8, at every later look too: the surface ends where its handle says, however much the file has.
#[test]
fn a_later_look_is_bounded_by_the_memory_of_the_handle() {
    const POLARIS: Device = Device::POLARIS10;
    let (extent, options) = (Extent::new(256, 96).unwrap(), Options { writers: Writers::Open, ..Options::default() });
    let made =
        |width: u32| allocate::implicit(POLARIS, FORMAT, Extent::new(width, 96).unwrap(), &options).unwrap().remove(0);
    let (ours, tiles) = (made(512), made(256).metadata().unwrap());
    let offer = POLARIS.offer("one", &[FORMAT], SurfaceUsages::RENDER);
    let rows = allocate(POLARIS, &negotiate(extent, &[offer]).unwrap(), &options).unwrap().remove(0);
    ours.set_metadata(&rows.metadata().unwrap()).unwrap();
    // Tiles at this stride are padded to 128 rows, for which the file has room.
    let memory = Bytes(2048 * 96);
    let handle = handed(&ours);
    let message = handle.message().clone();
    assert_eq!(message.memory, Bytes(2048 * 128));
    let plane = PlaneLayout { offset: Bytes::ZERO, stride: Bytes(2048), size: memory };
    let layout = Layout::from_allegation(Some(FORMAT), Some(extent), Modifier::INVALID, &[plane], memory).unwrap();
    let message = Message::Surface(SurfaceMessage { layout, memory, ..message });
    let (_, descriptors) = handle.into_parts();
    let theirs = import(Handle::from_parts(&message.encode(), descriptors.into()).unwrap(), POLARIS).unwrap();
    handover::import::refresh(&theirs).unwrap();
    ours.set_metadata(&tiles).unwrap();
    let error = refusal("tiles past the end", handover::import::refresh(&theirs));
    assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Malformed), "{error}");
    assert!(error.to_string().contains("ends past the buffer"), "{error}");
}

/// Step 1: only descriptors pass.
#[test]
fn a_global_name_is_not_imported() {
    let layout = *with_modifier(PLAIN).layout();
    let error = refusal("a name", foreign(Foreign::Flink(7), &layout, NAVI, Access::Read));
    assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Unsupported), "{error}");
}

/// Step 9, where Mesa's importer rewrites the metadata of the producer: here the export has dropped it, and a handle that says otherwise is
/// refused, by a renderer and by a display.
#[test]
fn dcc_for_a_display_is_not_taken_without_the_promise_of_a_flush() {
    for made_for in [Display::Scanout, Display::CanRead] {
        let ours = implicit(made_for);
        let parts = Parts::of(handed(&ours));
        let forged = parts.patched(at::ACCESS, &[ExportFlags::READ.bits()]);
        for device in [NAVI, NAVI.display().unwrap()] {
            assert!(import(parts.handle(), device).is_ok(), "{made_for:?} on {device}");
            let error = refusal("no promise", import(parts.forge(&forged).unwrap(), device));
            assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Malformed), "{error}");
            assert!(error.to_string().contains("no flush is promised"), "{error}");
        }
        // An honest export without the promise drops it, and its handle is taken.
        let honest = export(&ours, ExportFlags::READ, soon()).unwrap().handle;
        let theirs = import(honest, NAVI).unwrap();
        assert!(!theirs.layout().has_compression(), "{made_for:?}");
    }
    // DCC of the renderer alone goes stale for nobody.
    let ours = implicit(Display::None);
    assert!(import(export(&ours, ExportFlags::READ, soon()).unwrap().handle, NAVI).unwrap().layout().has_compression());
}
