//! Simulated chips: each draws in its real layout, writes its real word and block, and reads what is determined and no more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{lease, refusal};
use handover::allocate::Options;
use handover::export::export;
use handover::import::import;
use handover::negotiate::{SurfaceUsages, negotiate};
use handover::{Access, Compression, Deadline, Device, ExportFlags, Extent, Format, Kind, Modifier, Surface};

const SIZE: (u32, u32) = (300, 200);
const CHIPS: [Device; 4] = [Device::VEGA10, Device::NAVI21, Device::TIGERLAKE, Device::TURING];

fn picture(format: Format) -> Vec<u8> {
    let element = format.planes()[0].bytes_per_element.get() as usize;
    let bytes = SIZE.0 as usize * SIZE.1 as usize * element;
    // The upper left corner has one colour, so that something compresses.
    let row = SIZE.0 as usize * element;
    let one = |at: usize| at / row < 100 && at % row < 100 * element;
    (0..bytes).map(|at| if one(at) { 7 } else { (at as u32).wrapping_mul(0x9e37_79b9).to_be_bytes()[0] }).collect()
}

fn make(device: Device, format: Format, modifier: Modifier) -> Surface {
    let extent = Extent::new(SIZE.0, SIZE.1).unwrap();
    let offers = ["maker", "reader"].map(|party| {
        let usages = if party == "maker" { SurfaceUsages::RENDER } else { SurfaceUsages::READ };
        let mut offer = device.offer(party, &[format], usages);
        offer.entries.retain(|entry| entry.modifier == modifier);
        offer
    });
    let agreement = negotiate(extent, &offers).unwrap();
    handover::allocate(device, &agreement, &Options::default()).unwrap().remove(0)
}

fn draw(surface: &Surface, content: &[u8]) {
    let held = lease(surface, Access::Write);
    held.write(surface).unwrap().write_image(0, content, content.len() / SIZE.1 as usize).unwrap();
    held.release().unwrap();
}

fn seen(surface: &Surface, length: usize) -> Vec<u8> {
    let held = lease(surface, Access::Read);
    let mut content = vec![0; length];
    held.read(surface).unwrap().read_image(0, &mut content, length / SIZE.1 as usize).unwrap();
    held.release().unwrap();
    content
}

fn handed(surface: &Surface, to: Device) -> handover::Result<Surface> {
    let flags = ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH;
    import(export(surface, flags, Deadline::after(common::PATIENCE)).unwrap().handle, to)
}

#[test]
fn every_chip_draws_in_every_layout_it_has_and_its_like_sees_the_picture() {
    for device in CHIPS {
        for format in [Format::XRGB8888, Format::RGB565, Format::R8, Format::ABGR16161616F] {
            for modifier in device.modifiers(format) {
                let ours = make(device, format, modifier);
                let content = picture(format);
                draw(&ours, &content);
                assert!(seen(&ours, content.len()) == content, "{device} {format} {modifier}: its own picture");
                let theirs = handed(&ours, device).unwrap();
                assert!(seen(&theirs, content.len()) == content, "{device} {format} {modifier}: its like's");
            }
        }
    }
}

#[test]
fn another_device_reads_what_is_determined_and_refuses_what_is_compressed() {
    for device in CHIPS {
        for modifier in device.modifiers(Format::XRGB8888) {
            let ours = make(device, Format::XRGB8888, modifier);
            let content = picture(Format::XRGB8888);
            draw(&ours, &content);
            let is_compressed = modifier.parse().unwrap().is_compressed();
            for other in [Device::PLAIN, Device::TURING, Device::NAVI21].into_iter().filter(|other| *other != device) {
                let own = other.reads(modifier);
                assert_eq!(handed(&ours, other).is_ok(), own, "{device} {modifier} on {other}");
                match (is_compressed && !own, handed(&ours, other.with_decoder())) {
                    (true, refused) => {
                        let error = refusal("a compressed surface on another device", refused);
                        assert_eq!(*error.kind(), Kind::Unsupported, "{error}");
                        assert!(
                            error.to_string().contains("compressed: its producer has to resolve it first"),
                            "{error}"
                        );
                    }
                    (false, imported) => assert!(seen(&imported.unwrap(), content.len()) == content),
                }
            }
        }
    }
}

/// The blocks that Mesa's own functions give for these chips (facts of `tests/data/metadata` of the model, examples E and J).
#[test]
fn words_and_blocks_are_those_of_the_real_driver() {
    let extent = Extent::new(1920, 1080).unwrap();
    let cases: [(Device, Modifier, u64, &[u32]); 5] = [
        (
            Device::VEGA10,
            Modifier(0x0200_0000_0480_1a01),
            0x1a,
            &[1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0],
        ),
        (
            Device::VEGA10,
            Modifier(0x0200_0005_0481_ba01),
            0x0000_08ff_e010_e01a,
            &[1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0x0c00_0000, 0x0060_0000, 0x8700],
        ),
        (
            Device::NAVI21,
            Modifier(0x0200_0000_2096_bb03),
            0x0000_30ff_e010_e01b,
            &[1, 0x1002_73bf, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0x006b_0000, 0x87],
        ),
        (Device::TIGERLAKE, Modifier(0x0100_0000_0000_0002), 7680 | 2, &[1, 0x8086_9a49]),
        (Device::TURING, Modifier(0x0300_0000_0060_6014), 0x40 | 6 << 40, &[1, 0x10de_1e04]),
    ];
    for (device, modifier, word, block) in cases {
        let mut offer = device.offer("maker", &[Format::ARGB8888], SurfaceUsages::RENDER);
        offer.entries.retain(|entry| entry.modifier == modifier);
        let agreement = negotiate(extent, &[offer]).unwrap();
        let surface = handover::allocate(device, &agreement, &Options::default()).unwrap().remove(0);
        let metadata = surface.metadata().unwrap();
        assert_eq!(metadata.word.0, word, "{device} {modifier}: {:#x}", metadata.word.0);
        let stored: Vec<u32> = (0..).map_while(|index| metadata.block.dword(index)).collect();
        assert_eq!(stored, block, "{device} {modifier}: {stored:08x?}");
    }
}

#[test]
fn names_are_read_back_and_nobody_else_has_them() {
    for device in Device::simulated() {
        assert_eq!(Device::from_name(&device.name()), Some(device));
        assert_eq!(Device::from_name(&device.with_decoder().name()), Some(device.with_decoder()));
        assert!(device.to_string().ends_with("(simulated)"), "{device}");
        // A decoder once took from `blocks` what it reads without.
        let own = device.modifiers(Format::XRGB8888);
        assert!(own.into_iter().all(|modifier| device.with_decoder().reads(modifier)), "{device}");
    }
    assert_eq!(Device::from_name("driver"), None);
    assert_eq!(Compression::Possible, Options::default().compression);
}
