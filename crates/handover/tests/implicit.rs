//! Surfaces without a modifier between processes: what a codec from outside says of them, and what the word of GFX8 does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::os::fd::AsFd;
use std::sync::Arc;

use common::{Other, Parts, hear_parts, lease, parent, refusal, role, say, soon};
use handover::import::{Options, import_with};
use handover::metadata::field::{Bits, Place};
use handover::metadata::registry::{Codec, Decoded, Query, Registry};
use handover::{
    Access, Compression, Device, ExportFlags, Extent, Format, Header, Kind, Layout, Metadata, Modifier, Result, Stage,
    Surface, SurfaceUsages, Word, Writers, allocate, export, import, negotiate,
};
use handover_model::{Message, SurfaceMessage};

const SIZE: (u32, u32) = (300, 200);

fn implicit(device: Device, format: Format, size: (u32, u32)) -> Surface {
    let options =
        allocate::Options { compression: Compression::None, writers: Writers::Open, ..allocate::Options::default() };
    allocate::implicit(device, format, Extent::new(size.0, size.1).unwrap(), &options).unwrap().remove(0)
}

/// Draws noise, and gives it.
fn draw(surface: &Surface) -> Vec<u8> {
    let extent = surface.layout().extent().unwrap();
    let element = surface.format().unwrap().planes()[0].bytes_per_element.get() as usize;
    let stride = extent.width().get() as usize * element;
    let content = common::Noise::new(u64::from(extent.width().get())).bytes(stride * extent.height().get() as usize);
    let held = lease(surface, Access::Write);
    held.write(surface).unwrap().write_image(0, &content, stride).unwrap();
    held.release().unwrap();
    content
}

fn seen(surface: &Surface) -> Vec<u8> {
    let extent = surface.layout().extent().unwrap();
    let element = surface.format().unwrap().planes()[0].bytes_per_element.get() as usize;
    let stride = extent.width().get() as usize * element;
    let mut content = vec![0; stride * extent.height().get() as usize];
    let held = lease(surface, Access::Read);
    held.read(surface).unwrap().read_image(0, &mut content, stride).unwrap();
    content
}

fn parts(surface: &Surface) -> Parts {
    Parts::of(export(surface, ExportFlags::READ, soon()).unwrap().handle)
}

/// A vendor that the library has never heard of. Its word numbers its layouts, of which drm_fourcc.h has the modifiers.
struct Acme;

const ACME: Header = Header { vendor_id: 0xacce, pci_id: 7, version: 1, flags: 0 };
const LAYOUT: Bits = Bits::new("LAYOUT", 3, 0);
const TILES: [Modifier; 4] = [
    Modifier(0x0100_0000_0000_0002),
    Modifier(0x0200_0000_0480_1a01),
    Modifier(0x0300_0000_0060_6014),
    Modifier(0x0200_0005_0481_ba01),
];

impl Codec for Acme {
    fn name(&self) -> &'static str {
        "acme"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        query.metadata.block.header().is_some_and(|header| header.vendor_id == ACME.vendor_id)
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let raw = query.metadata.word.0;
        let Some(modifier) = usize::try_from(LAYOUT.get(raw)).ok().and_then(|index| TILES.get(index)) else {
            let why = format!("{LAYOUT} are {}: 0 to 3 are defined", LAYOUT.get(raw));
            return Err(handover::Error::new(Stage::Import, Kind::Malformed).why(why));
        };
        Ok(Decoded::new("acme", vec![LAYOUT.show(Place::Word, raw, format!("{modifier}"))], Ok(*modifier)))
    }
}

fn with_acme() -> Options<'static> {
    let mut registry = Registry::new();
    registry.register(Box::new(Acme));
    Options { registry: Arc::new(registry), ..Options::default() }
}

/// What stands for a device of Acme's: one that draws in the layout of this number, and whose metadata is Acme's.
fn acme(number: u64) -> Surface {
    let device = [Device::TIGERLAKE, Device::VEGA10, Device::TURING][number as usize % 3];
    let ours = implicit(device, Format::XRGB8888, SIZE);
    ours.set_metadata(&Metadata { word: Word(number), block: ACME.alone() }).unwrap();
    ours
}

#[test]
fn a_codec_from_outside_takes_part_in_imports() {
    for number in 0..2 {
        let ours = acme(number);
        assert_eq!(ours.modifier(), TILES[number as usize], "the layout that Acme calls so");
        let content = draw(&ours);
        let consumer = Other::start("acme");
        parts(&ours).send(&consumer.socket);
        assert_eq!(consumer.hear(), format!("{} {}", TILES[number as usize], checksum(&content)));

        let error = refusal("without the codec", import(parts(&ours).handle(), Device::PLAIN.with_decoder()));
        assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Unsupported));
        assert!(
            error.to_string().contains("acce:0007") && error.to_string().contains("no registered codec"),
            "{error}"
        );
        let error = refusal("no codec at all", {
            let options = Options { registry: Arc::new(Registry::empty()), ..Options::default() };
            import_with(parts(&implicit(Device::VEGA10, Format::XRGB8888, SIZE)).handle(), Device::VEGA10, &options)
        });
        assert!(error.to_string().contains("1002:687f"), "{error}");
    }
}

/// A codec is asked and not obeyed: what it says has to fit, and what it names has to be readable here.
#[test]
fn what_a_codec_from_outside_says_is_checked() {
    let ours = acme(1);
    let say = |number| ours.set_metadata(&Metadata { word: Word(number), block: ACME.alone() }).unwrap();
    let told = |device: Device| import_with(parts(&ours).handle(), device, &with_acme());
    say(4);
    let error = refusal("its own refusal", told(Device::PLAIN.with_decoder()));
    assert!(error.to_string().contains("bits 3:0 LAYOUT are 4"), "{error}");
    let small = acme(0);
    small.set_metadata(&Metadata { word: Word(2), block: ACME.alone() }).unwrap();
    let told_of_small = import_with(parts(&small).handle(), Device::PLAIN.with_decoder(), &with_acme());
    let error = refusal("a layout that needs more memory", told_of_small);
    assert_eq!(*error.kind(), Kind::Malformed, "{error}");
    say(3);
    // Even on the chip that makes this modifier: no rule of a chip says where Acme's compression is.
    for device in [Device::PLAIN.with_decoder(), Device::VEGA10] {
        let error = refusal("compressed", told(device));
        assert!(error.to_string().contains("compressed: its producer has to resolve it first"), "{device}: {error}");
    }
    say(1);
    let error = refusal("a device without a decoder", told(Device::PLAIN));
    assert!(error.to_string().contains("no decoder"), "{error}");
    // Looking again asks the same codec.
    let theirs = told(Device::PLAIN.with_decoder()).unwrap();
    handover::import::refresh(&theirs).unwrap();
    let content = draw(&ours);
    assert!(seen(&theirs) == content);
}

const FORMATS: [Format; 4] = [Format::R8, Format::RGB565, Format::XRGB8888, Format::ABGR16161616F];

/// GFX8 has no modifiers: its word carries every parameter of its tiles, and its block says what kind of image lies in them.
#[test]
fn the_tiles_of_gfx8_are_read_on_another_device_by_word_and_block() {
    for format in FORMATS {
        let ours = implicit(Device::POLARIS10, format, SIZE);
        assert_eq!(ours.modifier(), Modifier::INVALID);
        let tiles = ours.layout().gfx8().unwrap();
        assert_eq!((tiles.pipes, tiles.banks), (8, 16));
        let content = draw(&ours);
        assert!(seen(&ours) == content, "{format}: its own picture");
        for (consumer, reads) in [
            ("polaris10", true),
            ("plain+decode", true),
            ("navi21+decode", true),
            ("turing+decode", true),
            ("plain", false),
            ("vega10", false),
        ] {
            let other = Other::start(consumer);
            parts(&ours).send(&other.socket);
            let told = other.hear();
            match reads {
                true => {
                    assert_eq!(told, format!("{} {}", Modifier::INVALID, checksum(&content)), "{format} {consumer}")
                }
                false => assert!(told.contains("AMD GFX8 2D display") && told.contains("no decoder"), "{told}"),
            }
        }
    }
}

/// A picture through the memory itself: the consumer's addresses are those of the vectors, and not only the producer's own.
#[test]
fn what_polaris10_draws_lies_where_its_driver_puts_it() {
    let ours = implicit(Device::POLARIS10, Format::XRGB8888, (512, 256));
    let content = draw(&ours);
    let memory = {
        let map = handover_sys::map::ReadMapping::new(
            ours.pixels_fd(),
            ours.layout().size().get() as usize,
            handover_sys::map::Populate::Later,
        );
        let map = map.unwrap();
        let mut bytes = vec![0; ours.layout().size().get() as usize];
        assert!(map.pixels(0..bytes.len()).unwrap().read(0, &mut bytes));
        bytes
    };
    // Polaris10, 4 bytes, display: "x0 x1 y0 x2 y1 y2 | x3^x4^y3 x4^y4 x5^y5 | x6^y8 x7^y7^y8 x8^y6 x9^y5 | y3 y4", macro tiles of
    // 256 by 128.
    let bit = |value: usize, index: usize| value >> index & 1;
    for (x, y) in [(0, 0), (1, 0), (5, 3), (255, 127), (256, 0), (0, 128), (300, 200), (511, 255), (77, 130)] {
        let bits = [
            bit(x, 0),
            bit(x, 1),
            bit(y, 0),
            bit(x, 2),
            bit(y, 1),
            bit(y, 2),
            bit(x, 3) ^ bit(x, 4) ^ bit(y, 3),
            bit(x, 4) ^ bit(y, 4),
            bit(x, 5) ^ bit(y, 5),
            bit(x, 6) ^ bit(y, 8),
            bit(x, 7) ^ bit(y, 7) ^ bit(y, 8),
            bit(x, 8) ^ bit(y, 6),
            bit(x, 9) ^ bit(y, 5),
            bit(y, 3),
            bit(y, 4),
        ];
        let inside: usize = bits.iter().enumerate().map(|(index, bit)| bit << (index + 2)).sum();
        let address = (y / 128 * 2 + x / 256) * (256 * 128 * 4) + inside;
        let drawn = (y * 512 + x) * 4;
        assert_eq!(memory[address..address + 4], content[drawn..drawn + 4], "{x},{y}");
    }
}

/// Word and block of Mesa 25.0.7 for a surface of this size that was asked for scan-out, and for a linear one.
#[test]
fn polaris10_writes_the_word_and_the_block_of_its_driver() {
    let ours = implicit(Device::POLARIS10, Format::ARGB8888, (1920, 1080));
    let metadata = ours.metadata().unwrap();
    assert_eq!((metadata.word, ours.layout().size().get()), (Word(0x0074_06c4), 9_437_184));
    let stored: Vec<u32> = (0..).map_while(|index| metadata.block.dword(index)).collect();
    let block = [1, 0x1002_67df, 0, 0x00a0_0000, 0x410d_c77f, 0x90a0_0f2e, 0x00ff_e000, 0, 0, 0, 0];
    assert_eq!(stored, block, "{stored:08x?}");

    let format = Format::XRGB8888;
    let offers = [Device::POLARIS10.offer("maker", &[format], SurfaceUsages::RENDER)];
    let agreement = negotiate(Extent::new(1366, 768).unwrap(), &offers).unwrap();
    let linear = handover::allocate(Device::POLARIS10, &agreement, &allocate::Options::default()).unwrap().remove(0);
    let metadata = linear.metadata().unwrap();
    assert_eq!((metadata.word, linear.layout().planes()[0].stride.get()), (Word(0x0060_00c1), 1408 * 4));
    assert_eq!((metadata.block.dword(5), metadata.block.len()), (Some(0x9080_032e), 44));
}

/// What a word does not say, or what it says that nobody here knows, is refused by its name.
#[test]
fn words_of_gfx8_that_do_not_determine_the_tiles_are_refused_by_name() {
    let ours = implicit(Device::POLARIS10, Format::XRGB8888, SIZE);
    let honest = ours.metadata().unwrap();
    let patched = |dword: usize, value: u32| {
        let mut bytes = honest.block.stored().to_vec();
        bytes[dword * 4..dword * 4 + 4].copy_from_slice(&value.to_le_bytes());
        Metadata { block: handover::Block::new(&bytes).unwrap(), ..honest }
    };
    let word = |word: u64| Metadata { word: Word(word), ..honest };
    let dword = |index| honest.block.dword(index).unwrap();
    let bare = handover::Block::new(&honest.block.stored()[..8]).unwrap();
    for (metadata, says) in [
        (word(0), "word of 0"),
        (word(honest.word.0 | 2 << 12), "MICRO_TILE_MODE 2"),
        (word(honest.word.0 & !0xf | 7), "ARRAY_MODE 7 (2D thick)"),
        (word(honest.word.0 & !0x1f0 | 9 << 4), "pipe_config 9 is not known here"),
        (word(honest.word.0 & !0xe00), "tile_split"),
        (word(honest.word.0 | 1 << 40), "reserved"),
        (Metadata { block: bare, ..honest }, "header and descriptor of AMDGPU have 40"),
        (patched(1, 0x1002_ffff), "0xffff"),
        // A chip of GFX6 and one of GFX7.
        (patched(1, 0x1002_6780), "GFX6"),
        (patched(1, 0x1002_6640), "GFX7"),
        (patched(5, dword(5) & 0x0fff_ffff | 10 << 28), "3D"),
        (patched(5, dword(5) | 1 << 16), "LAST_LEVEL is 1"),
        (patched(4, dword(4) + 1), "another surface"),
        (patched(8, dword(8) | 1 << 21), "compressed"),
    ] {
        ours.set_metadata(&metadata).unwrap();
        let error = refusal(says, import(parts(&ours).handle(), Device::PLAIN.with_decoder()));
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(matches!(error.kind(), Kind::Unsupported | Kind::Malformed | Kind::Truncated), "{error}");
    }
    // Fewer bytes than the tiles need.
    ours.set_metadata(&word(honest.word.0 & !(3 << 19))).unwrap();
    let error = refusal("higher tiles", import(parts(&ours).handle(), Device::PLAIN.with_decoder()));
    assert_eq!(*error.kind(), Kind::Malformed, "{error}");
    ours.set_metadata(&honest).unwrap();
    assert!(import(parts(&ours).handle(), Device::PLAIN.with_decoder()).is_ok());
}

/// What a driver makes that was asked for LINEAR, by a window system whose handles carry no modifier.
fn rows_without_a_modifier(device: Device) -> (Surface, Parts) {
    let mut offer = device.offer("maker", &[Format::XRGB8888], SurfaceUsages::RENDER);
    offer.entries.retain(|entry| entry.modifier == Modifier::LINEAR);
    let agreement = negotiate(Extent::new(SIZE.0, SIZE.1).unwrap(), &[offer]).unwrap();
    let options = allocate::Options { writers: Writers::Open, ..allocate::Options::default() };
    let ours = handover::allocate(device, &agreement, &options).unwrap().remove(0);
    let handle = export(&ours, ExportFlags::READ, soon()).unwrap().handle;
    let (layout, size) = (*ours.layout(), ours.layout().size());
    let told =
        Layout::from_allegation(layout.format(), layout.extent(), Modifier::INVALID, layout.planes(), size).unwrap();
    let message = Message::Surface(SurfaceMessage { layout: told, ..handle.message().clone() });
    let sent = Parts { bytes: message.encode(), ..Parts::of(handle) };
    (ours, sent)
}

/// nouveau fixes the kind of a buffer when it is made, and 0 is pitch; i915 says 0 of whatever nobody set. AMDGPU's word before GFX9 has
/// a mode for rows, and a word of 0 from GFX9 on counts with the image of its block.
#[test]
fn rows_without_a_modifier_are_read_where_the_word_says_that_they_are_rows() {
    for device in [Device::TURING, Device::POLARIS10, Device::VEGA10] {
        let (ours, sent) = rows_without_a_modifier(device);
        let content = draw(&ours);
        for consumer in ["turing", "plain", "tigerlake", "polaris10"] {
            let other = Other::start(consumer);
            sent.send(&other.socket);
            let told = format!("{} {}", Modifier::LINEAR, checksum(&content));
            assert_eq!(other.hear(), told, "{device} on {consumer}");
        }
    }
    let (_ours, sent) = rows_without_a_modifier(Device::TIGERLAKE);
    let error = refusal("a word of i915's that nobody set", import(sent.handle(), Device::PLAIN));
    assert!(error.to_string().contains("TILING_MODE are 0, which is unknown"), "{error}");
    assert_eq!(*error.kind(), Kind::Unsupported);
}

/// FNV-1a, to compare pictures between processes.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Not a test: the consumer.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let socket = parent();
    let handle = hear_parts(socket.as_fd()).handle();
    let told = match role.as_str() {
        "acme" => import_with(handle, Device::PLAIN.with_decoder(), &with_acme()),
        name => import(handle, Device::from_name(name).unwrap()),
    };
    match told {
        Ok(theirs) => say(&socket, &format!("{} {}", theirs.modifier(), checksum(&seen(&theirs)))),
        Err(error) => say(&socket, &error.to_string()),
    }
}
