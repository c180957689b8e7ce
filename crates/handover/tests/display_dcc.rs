//! A display with DCC of its own: it shows what was flushed, while a renderer of the same chip sees what was drawn. Between processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::os::fd::AsFd;

use common::{Other, Parts, hear, lease, parent, refusal, role, say, soon};
use handover::allocate::Display;
use handover::export::Step;
use handover::{
    Access, Compression, Device, ExportFlags, Extent, Format, Handle, Kind, Lease, Modifier, Options, Region, Resolve,
    Surface, SurfaceUsages, Writers, acquire, allocate, export, flush, import, negotiate,
};
use handover_model::export::amdgpu::Write;

const SIZE: (u32, u32) = (300, 200);
const FORMAT: Format = Format::XRGB8888;
const READ: ExportFlags = ExportFlags::READ;
const FLUSHED: ExportFlags = ExportFlags::READ.union(ExportFlags::EXPLICIT_FLUSH);
const RETILE: Modifier = Modifier(0x0200_0000_2096_7b03);
/// What the metadata of every simulated device says a cleared block looks like.
const PUBLIC: u32 = 0xff00_0000;

fn extent() -> Extent {
    Extent::new(SIZE.0, SIZE.1).unwrap()
}

fn open(display: Display) -> Options {
    Options { writers: Writers::Open, display, ..Options::default() }
}

/// What an application and the display of its chip agree on.
fn by_modifier() -> Surface {
    let ours = Device::NAVI21.offer("application", &[FORMAT], SurfaceUsages::RENDER);
    let theirs = Device::NAVI21.display().unwrap().offer("display", &[FORMAT], SurfaceUsages::READ);
    let agreement = negotiate(extent(), &[ours, theirs]).unwrap();
    assert_eq!(agreement.modifier, RETILE);
    allocate(Device::NAVI21, &agreement, &open(Display::None)).unwrap().remove(0)
}

fn implicit(device: Device, display: Display) -> Surface {
    allocate::implicit(device, FORMAT, extent(), &open(display)).unwrap().remove(0)
}

fn noise(seed: u32) -> Vec<u8> {
    (0..SIZE.0 * SIZE.1 * 4).map(|at| (at ^ seed << 20).wrapping_mul(0x9e37_79b9).to_be_bytes()[0]).collect()
}

fn plain(colour: u32) -> Vec<u8> {
    colour.to_le_bytes().repeat((SIZE.0 * SIZE.1) as usize)
}

fn draw(surface: &Surface, content: &[u8]) {
    let held = lease(surface, Access::Write);
    held.write(surface).unwrap().write_image(0, content, SIZE.0 as usize * 4).unwrap();
    held.release().unwrap();
}

fn clear(surface: &Surface, colour: u32) {
    let held = lease(surface, Access::Write);
    held.write(surface).unwrap().clear(colour).unwrap();
    held.release().unwrap();
}

fn flushed(surface: &Surface) -> u32 {
    let held = lease(surface, Access::Write);
    let changed = flush(&held, surface).unwrap();
    held.release().unwrap();
    changed
}

fn seen(surface: &Surface) -> Vec<u8> {
    seen_by(lease(surface, Access::Read), surface)
}

fn seen_by(held: Lease, surface: &Surface) -> Vec<u8> {
    let mut content = vec![0; (SIZE.0 * SIZE.1 * 4) as usize];
    held.read(surface).unwrap().read_image(0, &mut content, SIZE.0 as usize * 4).unwrap();
    held.release().unwrap();
    content
}

fn digest(content: &[u8]) -> String {
    let hash = content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

fn give(surface: &Surface, flags: ExportFlags, other: &Other) {
    Parts::of(export(surface, flags, soon()).unwrap().handle).send(&other.socket);
    assert_eq!(other.hear(), "imported");
}

fn ask(other: &Other, what: &str) -> String {
    other.tell(what);
    other.hear()
}

#[test]
fn a_display_shows_what_was_flushed_and_a_renderer_sees_what_was_drawn() {
    let display = Other::start("navi21+display");
    let renderer = Other::start("navi21");
    let made = [
        ("by modifier", by_modifier()),
        ("by metadata, for scanout", implicit(Device::NAVI21, Display::Scanout)),
        ("by metadata, displayable", implicit(Device::NAVI21, Display::CanRead)),
    ];
    for (what, ours) in made {
        draw(&ours, &plain(0x0020_4080));
        assert!(flushed(&ours) > 0, "{what}");
        for other in [&display, &renderer] {
            give(&ours, FLUSHED, other);
            assert_eq!(ask(other, "see"), digest(&plain(0x0020_4080)), "{what}: flushed before the export");
        }
        draw(&ours, &noise(1));
        assert_eq!(ask(&renderer, "see"), digest(&noise(1)), "{what}: drawn");
        let stale = ask(&display, "see");
        assert!(![digest(&noise(1)), digest(&plain(0x0020_4080))].contains(&stale), "{what}: drawn and not flushed");
        assert!(flushed(&ours) > 0, "{what}");
        assert_eq!(ask(&display, "see"), digest(&noise(1)), "{what}: flushed");

        // A fast clear touches the renderer's DCC alone, and its colour stays with the producer.
        clear(&ours, 0x0099_6633);
        assert_eq!(ask(&renderer, "see"), digest(&plain(PUBLIC)), "{what}: cleared");
        assert_eq!(ask(&display, "see"), digest(&noise(1)), "{what}: the last frame that was flushed");
        assert!(flushed(&ours) > 0, "{what}");
        for other in [&display, &renderer] {
            assert_eq!(ask(other, "see"), digest(&plain(0x0099_6633)), "{what}: cleared and flushed");
        }
        assert_eq!(flushed(&ours), 0, "{what}: a second flush finds nothing");
    }
}

#[test]
fn without_a_promise_every_submission_ends_with_the_display_up_to_date() {
    let display = Other::start("navi21+display");
    let renderer = Other::start("navi21");
    let ours = by_modifier();
    draw(&ours, &plain(0x0020_4080));
    draw(&ours, &noise(1));
    let exported = export(&ours, READ, soon()).unwrap();
    assert_eq!(
        exported.steps,
        [Step::EliminateFastClears, Step::RetileDisplayDcc, Step::WriteMetadata(Write::First)],
        "what no flush will write out is written out now"
    );
    assert_eq!(exported.decision.resolve, Resolve::ByTracking);
    Parts::of(exported.handle).send(&display.socket);
    assert_eq!(display.hear(), "imported");
    assert_eq!(ask(&display, "see"), digest(&noise(1)), "the export retiled");
    draw(&ours, &plain(0x0033_6699));
    assert_eq!(ask(&display, "see"), digest(&plain(0x0033_6699)));
    clear(&ours, 0x0099_6633);
    assert_eq!(ask(&display, "see"), digest(&plain(0x0099_6633)));
    assert_eq!(flushed(&ours), 0, "nothing is left to flush");

    // Another process that draws has nobody to flush for it.
    give(&ours, ExportFlags::READ | ExportFlags::WRITE, &renderer);
    assert_eq!(ask(&renderer, "draw"), "drawn");
    assert_eq!(ask(&display, "see"), digest(&noise(2)), "drawn by a consumer");
    assert_eq!(ask(&renderer, "clear"), "cleared");
    assert_eq!(ask(&display, "see"), digest(&plain(0x0011_2233)), "cleared by a consumer");
}

/// A promise that was lost drops what a display could not keep up with; who imported before learns it.
#[test]
fn a_lost_promise_drops_the_displays_dcc_under_a_display() {
    for made_for in [Display::Scanout, Display::CanRead] {
        let display = Other::start("navi21+display");
        let ours = implicit(Device::NAVI21, made_for);
        draw(&ours, &noise(1));
        flushed(&ours);
        give(&ours, FLUSHED, &display);
        assert_eq!(ask(&display, "see"), digest(&noise(1)), "{made_for:?}");
        draw(&ours, &noise(3));
        let exported = export(&ours, READ, soon()).unwrap();
        assert!(exported.decision.changed, "{made_for:?}: {}", exported.decision);
        assert_eq!(ask(&display, "see"), format!("changed {}", digest(&noise(3))), "{made_for:?}");
        draw(&ours, &noise(4));
        assert_eq!(ask(&display, "see"), digest(&noise(4)), "{made_for:?}: no DCC, nothing to flush");
    }
}

/// Mesa's own functions give these for 1920x1080 ARGB8888 that was asked for a display.
#[test]
fn words_and_blocks_for_a_display_are_those_of_the_real_driver() {
    type Case = (Device, Compression, u64, [u32; 10]);
    let cases: [Case; 4] = [
        (
            Device::NAVI21,
            Compression::Possible,
            0x8000_18ff_e010_e01b,
            [1, 0x1002_73bf, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0xc069_0000, 0x87],
        ),
        (
            Device::NAVI21,
            Compression::None,
            0x8000_3000_0000_001b,
            [1, 0x1002_73bf, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0, 0],
        ),
        (
            Device::VEGA10,
            Compression::Possible,
            0x8000_0800_0000_001a,
            [1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0],
        ),
        (
            Device::VEGA10,
            Compression::None,
            0x8000_0800_0000_001a,
            [1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0],
        ),
    ];
    for (device, compression, word, block) in cases {
        let extent = Extent::new(1920, 1080).unwrap();
        let options = Options { compression, ..open(Display::Scanout) };
        let surface = allocate::implicit(device, Format::ARGB8888, extent, &options).unwrap().remove(0);
        let metadata = surface.metadata().unwrap();
        assert_eq!(metadata.word.0, word, "{device}: {:#x}", metadata.word.0);
        let stored: Vec<u32> = (0..).map_while(|index| metadata.block.dword(index)).collect();
        assert_eq!(stored, block, "{device}: {stored:08x?}");
    }
}

#[test]
fn a_display_reads_and_no_more() {
    let display = Device::NAVI21.display().unwrap();
    assert_eq!(Device::from_name("navi21+display"), Some(display));
    let vega = Device::VEGA10.display().unwrap();
    let shown = |device: Device, display: Device| {
        let compressed = |modifier: &Modifier| modifier.parse().unwrap().is_compressed();
        let all = device.modifiers(FORMAT).into_iter().filter(|modifier| display.reads(*modifier));
        let (compressed, plain): (Vec<_>, Vec<_>) = all.partition(compressed);
        (compressed.len(), plain.len())
    };
    assert_eq!(shown(Device::NAVI21, display), (2, 3), "both with DCC_RETILE, and all without DCC");
    assert_eq!(shown(Device::VEGA10, vega), (0, 3), "the display of Vega10 reads no DCC, and of tiles the order D");
    assert!(!display.makes(RETILE) && !display.makes(Modifier::LINEAR) && display.modifiers(FORMAT).is_empty());
    assert!(display.offer("display", &[FORMAT], SurfaceUsages::WRITE).entries.is_empty(), "nobody draws by a display");

    // DCC aligned to pipes alone is the renderer's.
    let ours = implicit(Device::NAVI21, Display::None);
    draw(&ours, &noise(1));
    let error = refusal("DCC of a renderer", import(export(&ours, FLUSHED, soon()).unwrap().handle, display));
    assert!(*error.kind() == Kind::Unsupported && error.to_string().contains("DCC_RETILE"), "{error}");

    let writable = export(&by_modifier(), ExportFlags::READ | ExportFlags::WRITE, soon()).unwrap().handle;
    let theirs = import(writable, display).unwrap();
    let write = acquire(&[(&theirs, Access::Write, Region::WHOLE)], soon());
    assert_eq!(*refusal("a display that writes", write).kind(), Kind::Unsupported);
    let agreement = handover::Agreement { modifier: RETILE, ..agreement_of(&theirs) };
    let made = allocate(display, &agreement, &Options::default());
    assert_eq!(*refusal("a display that allocates", made).kind(), Kind::Unsupported);

    // Two who draw side by side would both make the one copy for the display.
    let cells = handover::Cells::new(theirs.layout(), vec![handover::Cell::View(0), handover::Cell::View(1)]).unwrap();
    let options = Options { cells, ..Options::default() };
    let error = refusal("cells", allocate(Device::NAVI21, &agreement, &options));
    assert!(error.to_string().contains("DCC_RETILE"), "{error}");
}

/// A display that reads wrong on purpose still reads by its own DCC, and of the pixels that this says are stored.
#[test]
fn a_display_with_a_fault_reads_by_its_own_dcc() {
    let display = Device::NAVI21.display().unwrap();
    let ours = by_modifier();
    draw(&ours, &plain(PUBLIC));
    flushed(&ours);
    let parts = Parts::of(export(&ours, FLUSHED, soon()).unwrap().handle);
    let [good, faulty, renderer] =
        [display, display.with_flipped_bit(5), Device::NAVI21].map(|device| import(parts.handle(), device).unwrap());
    draw(&ours, &noise(1));
    assert!(seen(&good) != noise(1), "not flushed");
    // Of blocks that have one colour no pixel is looked up; those at the edges are stored.
    let inner = |surface: &Surface| seen(surface)[..1024].to_vec();
    assert!(inner(&faulty) == inner(&good), "by the DCC of the renderer");
    flushed(&ours);
    assert!(seen(&good) == noise(1) && seen(&renderer) == noise(1) && seen(&faulty) != noise(1), "flushed");
}

fn agreement_of(surface: &Surface) -> handover::Agreement {
    let offer = Device::NAVI21.offer("one", &[FORMAT], SurfaceUsages::RENDER);
    negotiate(surface.layout().extent().unwrap(), &[offer]).unwrap()
}

/// Not a test: the other side, on the device that its role names.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let socket = parent();
    let device = Device::from_name(&role).unwrap();
    let mut surface = None;
    loop {
        let (bytes, descriptors) = hear(socket.as_fd());
        if !descriptors.is_empty() {
            surface = Some(import(Handle::from_parts(&bytes, descriptors).unwrap(), device).unwrap());
            say(&socket, "imported");
            continue;
        }
        let theirs = surface.as_ref().unwrap();
        match bytes.as_slice() {
            b"see" => say(&socket, &see(theirs)),
            b"draw" => {
                draw(theirs, &noise(2));
                say(&socket, "drawn");
            }
            b"clear" => {
                clear(theirs, 0x0011_2233);
                say(&socket, "cleared");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn see(theirs: &Surface) -> String {
    let wish = [(theirs, Access::Read, Region::WHOLE)];
    let held = acquire(&wish, soon()).and_then(handover::Acquire::wait);
    let (held, changed) = match held {
        Err(error) if *error.kind() == Kind::LayoutChanged => {
            import::refresh(theirs).unwrap();
            (lease(theirs, Access::Read), "changed ")
        }
        held => (held.unwrap(), ""),
    };
    format!("{changed}{}", digest(&seen_by(held, theirs)))
}
