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
    Access, Compression, Device, ExportFlags, Extent, Format, Header, Kind, Metadata, Modifier, Result, Stage, Surface,
    Word, Writers, allocate, export, import,
};

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
