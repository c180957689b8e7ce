//! Simulated chips: each draws in its real layout, writes its real word and block, and reads what is determined and no more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{lease, refusal};
use handover::allocate::Options;
use handover::export::export;
use handover::import::import;
use handover::negotiate::{SurfaceUsages, negotiate};
use handover::{
    Access, Bytes, Compression, Deadline, Device, ExportFlags, Extent, Format, Handle, Kind, Layout, Modifier, Surface,
    Writers,
};
use handover_model::{ExportState, Message, PlaneLayout, SurfaceMessage, decide};

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
        // Tests hand it to other chips too, of which AMD's take no other stride.
        let linear = offer.entries.iter_mut().filter(|entry| entry.modifier == Modifier::LINEAR);
        linear.for_each(|entry| entry.stride_align = Bytes(256));
        offer
    });
    let agreement = negotiate(extent, &offers).unwrap();
    let options = Options { writers: Writers::Open, ..Options::default() };
    handover::allocate(device, &agreement, &options).unwrap().remove(0)
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

/// What Mesa's own functions give for these chips and for surfaces that no display was asked for.
#[test]
fn words_and_blocks_are_those_of_the_real_driver() {
    let extent = Extent::new(1920, 1080).unwrap();
    let cases: [(Device, Modifier, u64, &[u32]); 7] = [
        // A display could show the first two, and not the third.
        (
            Device::VEGA10,
            Modifier(0x0200_0000_0480_1a01),
            0x8000_0800_0000_001a,
            &[1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0],
        ),
        (
            Device::NAVI21,
            Modifier(0x0200_0000_2080_1b03),
            0x8000_3000_0000_001b,
            &[1, 0x1002_73bf, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0, 0],
        ),
        (
            Device::VEGA10,
            Modifier(0x0200_0000_0480_1901),
            0x0000_0800_0000_0019,
            &[1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x9190_0f2e, 0x80ef_e000, 0, 0, 0],
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
fn nobody_else_has_a_name_and_decoders_take_nothing_away() {
    for device in Device::simulated() {
        assert!(device.to_string().ends_with("(simulated)"), "{device}");
        // A decoder once took from `blocks` what it reads without.
        let own = device.modifiers(Format::XRGB8888);
        assert!(own.into_iter().all(|modifier| device.with_decoder().reads(modifier)), "{device}");
    }
    for name in
        ["driver", "navi21+display+decode", "navi21+decode+blocks", "polaris10+display", "blocks+blocks", "navi21+", ""]
    {
        assert_eq!(Device::from_name(name), None, "{name}");
    }
    assert_eq!(Compression::Possible, Options::default().compression);
}

fn implicit(device: Device, compression: Compression) -> Surface {
    let options = Options { compression, writers: Writers::Open, ..Options::default() };
    let extent = Extent::new(SIZE.0, SIZE.1).unwrap();
    handover::allocate::implicit(device, Format::XRGB8888, extent, &options).unwrap().remove(0)
}

/// The mail: nothing but the handle passes, and who has the same chip learns the layout and the compression from the metadata.
#[test]
fn without_a_modifier_the_metadata_tells_the_layout() {
    let content = picture(Format::XRGB8888);
    for (device, compressed) in [(Device::VEGA10, true), (Device::NAVI21, true), (Device::TIGERLAKE, false)] {
        let ours = implicit(device, Compression::Possible);
        draw(&ours, &content);
        let exported = export(&ours, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, common::soon()).unwrap();
        assert_eq!(exported.handle.message().layout.modifier(), Modifier::INVALID, "no vendor data in the handle");
        let theirs = import(exported.handle, device).unwrap();
        assert_eq!((theirs.modifier(), theirs.layout().has_compression()), (ours.modifier(), compressed), "{device}");
        assert!(seen(&theirs, content.len()) == content, "{device}");

        // Another device reads it once it is not compressed, and says so before.
        let config = if device == Device::NAVI21 { 0x444 } else { 0x2a11_4042 };
        for other in [Device::PLAIN.with_decoder(), Device::TURING.with_decoder()] {
            match (compressed, handed(&ours, other.with_gb_addr_config(config))) {
                (true, refused) => {
                    let error = refusal("compressed and implicit, on another device", refused);
                    assert!(error.to_string().contains("compressed: its producer"), "{error}");
                }
                (false, imported) => assert!(seen(&imported.unwrap(), content.len()) == content),
            }
            let plain = implicit(device, Compression::None);
            draw(&plain, &content);
            if device == Device::NAVI21 {
                // Its PCI ID is that of several products, whose configurations differ.
                let error = refusal("a chip whose configuration is not at hand", handed(&plain, other));
                assert!(error.to_string().contains("GB_ADDR_CONFIG"), "{error}");
            }
            assert!(
                seen(&handed(&plain, other.with_gb_addr_config(config)).unwrap(), content.len()) == content,
                "{device} on {other}"
            );
        }
        let error = refusal("a device that decodes nothing", handed(&ours, Device::PLAIN));
        assert_eq!(*error.kind(), Kind::Unsupported, "{error}");
    }
    // Mode and kind mean other blocks on each generation, and the word does not say which.
    let turing = implicit(Device::TURING, Compression::Possible);
    let error = refusal("a word that does not determine the layout", handed(&turing, Device::PLAIN.with_decoder()));
    assert!(error.to_string().contains("generation"), "{error}");
}

/// An import into another amdgpu device yields a word of 0 and no block: unknown, never linear.
#[test]
fn metadata_that_was_lost_on_the_way_is_unknown_and_never_linear() {
    let ours = implicit(Device::VEGA10, Compression::None);
    ours.set_metadata(&handover::Metadata::default()).unwrap();
    for device in [Device::VEGA10, Device::PLAIN.with_decoder(), Device::PLAIN] {
        let error = refusal("lost metadata", handed(&ours, device));
        assert!(error.to_string().contains("unknown") && *error.kind() == Kind::Unsupported, "{device}: {error}");
    }
}

/// Wrong metadata is found, not believed: one field after the other.
#[test]
fn metadata_of_another_surface_is_refused() {
    let content = picture(Format::XRGB8888);
    let ours = implicit(Device::NAVI21, Compression::Possible);
    draw(&ours, &content);
    let honest = ours.metadata().unwrap();
    let patched = |dword: usize, value: u32| {
        let mut bytes = honest.block.stored().to_vec();
        bytes[dword * 4..dword * 4 + 4].copy_from_slice(&value.to_le_bytes());
        handover::Metadata { block: handover_model::Block::new(&bytes).unwrap(), ..honest }
    };
    let dword = |index| honest.block.dword(index).unwrap();
    let cases = [
        ("DCC beyond the buffer", patched(9, dword(9) + 0x1000)),
        ("DCC elsewhere in it", patched(9, 1)),
        ("another width", patched(4, dword(4) + 1)),
        ("another swizzle mode", patched(5, dword(5) ^ 1 << 20)),
        ("another word", handover::Metadata { word: handover_model::Word(honest.word.0 ^ 2), ..honest }),
        ("a level more", patched(5, dword(5) ^ 1 << 16)),
    ];
    for (what, metadata) in cases {
        ours.set_metadata(&metadata).unwrap();
        refusal(what, handed(&ours, Device::NAVI21));
    }
    // On another device it is compared with the handle too.
    let plain = implicit(Device::VEGA10, Compression::None);
    let told = plain.metadata().unwrap();
    let mut bytes = told.block.stored().to_vec();
    bytes[16] ^= 1;
    let block = handover_model::Block::new(&bytes).unwrap();
    plain.set_metadata(&handover::Metadata { block, ..told }).unwrap();
    let error = refusal("another width, elsewhere", handed(&plain, Device::PLAIN.with_decoder()));
    assert!(error.to_string().contains("another surface"), "{error}");
    ours.set_metadata(&honest).unwrap();
    assert!(seen(&handed(&ours, Device::NAVI21).unwrap(), content.len()) == content);
}

/// An export with WRITE drops what only metadata promised, while a reader holds a lease: it waits for him, and he learns it.
#[test]
fn an_implicit_export_with_write_drops_compression_and_earlier_importers_learn_it() {
    let content = picture(Format::XRGB8888);
    for device in [Device::VEGA10, Device::NAVI21] {
        let ours = implicit(device, Compression::Possible);
        draw(&ours, &content);
        let theirs = handed(&ours, device).unwrap();
        let held = lease(&theirs, Access::Read);
        let early = export(&ours, ExportFlags::WRITE, common::millis(60));
        assert!(matches!(refusal("a drop under a reader", early).kind(), Kind::Timeout(_)), "{device}");
        held.release().unwrap();

        let exported = export(&ours, ExportFlags::WRITE, common::soon()).unwrap();
        assert!(exported.decision.changed, "{device}: {}", exported.decision);
        let steps: Vec<String> = exported.steps.iter().map(ToString::to_string).collect();
        let [drop, write] = steps.as_slice() else { panic!("{device}: {steps:?}") };
        assert!(
            drop.contains("drop DCC: a consumer writes from shaders") && write.contains("DCC was dropped"),
            "{steps:?}"
        );
        let changed = handover::acquire(&[(&theirs, Access::Read, handover::Region::WHOLE)], common::soon());
        let changed = changed.and_then(handover::Acquire::wait);
        assert_eq!(*refusal("an import from before", changed).kind(), Kind::LayoutChanged);
        handover::import::refresh(&theirs).unwrap();
        assert!(seen(&theirs, content.len()) == content, "{device}: after a refresh");

        let config = if device == Device::NAVI21 { 0x444 } else { 0x2a11_4042 };
        let writer = import(exported.handle, Device::PLAIN.with_decoder().with_gb_addr_config(config)).unwrap();
        draw(&writer, &content.iter().map(|byte| !byte).collect::<Vec<_>>());
        assert!(
            seen(&ours, content.len()).iter().zip(&content).all(|(now, was)| *now == !was),
            "{device}: what it wrote"
        );
    }
}

/// A modifier with compression promises it: an export with WRITE changes nothing, and the consumer, which agreed on it, writes.
#[test]
fn compression_that_a_modifier_promises_stays() {
    let content = picture(Format::XRGB8888);
    for device in [Device::VEGA10, Device::NAVI21, Device::TIGERLAKE] {
        let modifier = device.modifiers(Format::XRGB8888)[0];
        let ours = make(device, Format::XRGB8888, modifier);
        let exported = export(&ours, ExportFlags::WRITE, common::soon()).unwrap();
        assert!(!exported.decision.changed && exported.decision.to_string().contains("modifier promises"));
        let theirs = import(exported.handle, device).unwrap();
        draw(&theirs, &content);
        assert!(seen(&ours, content.len()) == content, "{device}");
    }
}

/// Where no display has a say, the rule that looks at the flags alone and AMDGPU's own drop at the same exports, whatever came before.
#[test]
fn the_general_rule_and_amdgpus_own_agree_on_every_sequence_of_exports() {
    let all = [ExportFlags::READ, ExportFlags::WRITE, ExportFlags::READ | ExportFlags::WRITE];
    let all: Vec<_> = all.into_iter().flat_map(|flags| [flags, flags | ExportFlags::EXPLICIT_FLUSH]).collect();
    for first in &all {
        for second in &all {
            let ours = implicit(Device::VEGA10, Compression::Possible);
            let mut general = ExportState::new(Compression::Possible);
            for flags in [first, second] {
                let Ok(exported) = export(&ours, *flags, common::soon()) else { panic!("{first} then {second}") };
                let drops = exported.steps.iter().any(|step| matches!(step, handover::export::Step::DropDcc(_)));
                let (state, decision) = decide(general, *flags).unwrap();
                general = state;
                assert_eq!(
                    (drops, exported.decision.changed),
                    (decision.changed, decision.changed),
                    "{first}, {second}"
                );
                assert_eq!(exported.decision.resolve, decision.resolve, "{first}, {second}");
            }
        }
    }
    let plain = make(Device::TURING, Format::XRGB8888, Modifier(0x0300_0000_0060_6014));
    assert!(export(&plain, ExportFlags::READ, common::soon()).unwrap().steps.is_empty(), "no chip of AMD's");
}

/// What a peer alleges of the planes of a compressed layout is compared with what the layout makes of them.
#[test]
fn alleged_planes_of_compressed_layouts_are_checked() {
    let modifier = Device::NAVI21.modifiers(Format::XRGB8888)[0];
    let ours = make(Device::NAVI21, Format::XRGB8888, modifier);
    let honest = ours.layout().planes().to_vec();
    let [pixels, data] = honest.as_slice() else { panic!("two planes") };
    let memory = Bytes(ours.layout().size().get());
    let import_as = |planes: &[PlaneLayout]| {
        let extent = Extent::new(SIZE.0, SIZE.1).unwrap();
        let layout = Layout::from_allegation(Some(Format::XRGB8888), Some(extent), modifier, planes, memory)?;
        let handle = export(&ours, ExportFlags::READ, common::soon())?.handle;
        let message = Message::Surface(SurfaceMessage { layout, ..handle.message().clone() });
        let (_, descriptors) = handle.into_parts();
        import(Handle::from_parts(&message.encode(), descriptors.into())?, Device::NAVI21)
    };
    assert!(import_as(&honest).is_ok());
    let cases: [(&str, &[PlaneLayout]); 5] = [
        ("no compression data", &[*pixels]),
        ("one byte of it", &[*pixels, PlaneLayout { size: Bytes(1), ..*data }]),
        ("too few pixels", &[PlaneLayout { size: Bytes(256), ..*pixels }, *data]),
        ("data inside the pixels", &[*pixels, PlaneLayout { offset: Bytes(4096), ..*data }]),
        ("a stride between two blocks", &[PlaneLayout { stride: Bytes(1300), ..*pixels }, *data]),
    ];
    for (what, planes) in cases {
        let error = refusal(what, import_as(planes));
        assert_eq!((error.stage(), error.kind()), (handover::Stage::Import, &Kind::Malformed), "{what}: {error}");
    }
}

#[test]
fn an_image_of_one_row_has_a_stride_too() {
    let modifier = Device::VEGA10.modifiers(Format::XRGB8888)[0];
    let ours = make(Device::VEGA10, Format::XRGB8888, modifier);
    let held = lease(&ours, Access::Write);
    let view = held.write(&ours).unwrap();
    for stride in [0, 16, SIZE.0 as usize * 4 - 1] {
        let mut content = vec![0; SIZE.0 as usize * 4 * SIZE.1 as usize];
        assert_eq!(*refusal("a short stride", view.read_image(0, &mut content, stride)).kind(), Kind::Invalid);
        assert_eq!(*refusal("a short stride", view.write_image(0, &content, stride)).kind(), Kind::Invalid);
    }
}
