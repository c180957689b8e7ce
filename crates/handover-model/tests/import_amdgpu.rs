//! AMDGPU's import, step by step: what is used, what is ignored, what is refused, and which strides are taken.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::export::amdgpu::HandleUsage as U;
use handover_model::import::amdgpu::{Assumed, Handle, Plane, Request, Step, plan};
use handover_model::import::stride::Computed;
use handover_model::metadata::amdgpu::{Because, Caller, Ignored, ImageType, Level, Outcome, Reader};
use handover_model::{Block, Bytes, Elements, Kind, Metadata, Modifier, Word};

/// Navi21, 1920×1080, scanout with a display DCC at 0x870000 and one for shaders at 0x87c000.
fn metadata() -> Metadata {
    let dwords: [u32; 10] =
        [1, 0x1002_73bf, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0xc069_0000, 0x87];
    let bytes: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    Metadata { word: Word(0x8000_18ff_e010_e01b), block: Block::new(&bytes).unwrap() }
}

const COMPUTED: Computed = Computed {
    level: Level::Gfx10_3,
    linear: false,
    three_dimensional: false,
    has_metadata: true,
    levels: 1,
    layers: 1,
    bytes_per_element: Bytes(4),
    block_width: Elements(128),
    row: Bytes(7680),
    stride: Bytes(7680),
};

const SURFACE: Bytes = Bytes(8_847_360);
const TOTAL: Bytes = Bytes(8_945_664);

fn request() -> Request<'static> {
    Request {
        handle: Handle::Descriptor,
        reader: Reader { pci_id: 0x73bf, level: Level::Gfx10_3 },
        caller: Caller {
            modifier: None,
            offset: Bytes::ZERO,
            width: 1920,
            height: 1080,
            levels: 1,
            samples: 1,
            image: ImageType::D2,
            buffer: TOTAL,
            surface: SURFACE,
            dcc: Bytes(49152),
        },
        dedicated: true,
        usage: U::EXPLICIT_FLUSH,
        computed: COMPUTED,
        total: TOTAL,
        displayable: true,
        stride: None,
        planes: (&[], &[]),
    }
}

#[test]
fn the_steps_of_an_import_on_the_same_chip() {
    let same = plan(&request(), &metadata()).unwrap();
    let expected = [Step::LayoutOfWord, Step::Stride(Bytes(7680)), Step::Block(Outcome::Keep), Step::Fits];
    assert_eq!((same.steps.as_slice(), same.dcc), (expected.as_slice(), true));
    assert_eq!(same.reading.display_dcc_offset, Some(Bytes(0x87_0000)));
    assert!(same.steps.iter().all(|step| step.to_string().len() > 15));

    // Step 9: who promises no flush lets the display's DCC go.
    let no_flush = plan(&Request { usage: U::empty(), ..request() }, &metadata()).unwrap();
    assert_eq!((no_flush.steps.last(), no_flush.dcc), (Some(&Step::DropDisplayDcc), false));
    let hidden = plan(&Request { usage: U::empty(), displayable: false, ..request() }, &metadata()).unwrap();
    assert!(hidden.dcc);
}

#[test]
fn a_modifier_supersedes_word_and_block() {
    let modifier = Modifier(0x0200_0000_2093_7b03);
    let dcc = [
        Plane { offset: Bytes(0x87_0000), stride: Bytes(2048) },
        Plane { offset: Bytes(0x87_c000), stride: Bytes(2048) },
    ];
    let mut with = Request { planes: (&dcc, &dcc), usage: U::empty(), ..request() };
    with.caller.modifier = Some(modifier);
    // A broken block does not matter.
    let broken = Metadata { word: Word(0x1b), block: Block::new(&[1; 12]).unwrap() };
    let imported = plan(&with, &broken).unwrap();
    let ignored = Step::Block(Outcome::Ignored(Ignored::Modifier));
    assert_eq!(
        imported.steps,
        [Step::LayoutOfModifier(modifier), Step::Stride(Bytes(7680)), Step::Planes(2), ignored, Step::Fits]
    );
    assert!(imported.dcc && !imported.uses_metadata());

    let moved = [dcc[0], Plane { offset: Bytes(0x88_0000), ..dcc[1] }];
    for given in [&moved[..], &dcc[..1], &[]] {
        let error = plan(&Request { planes: (given, &dcc), ..with }, &broken).unwrap_err();
        assert!(error.to_string().contains("the modifier"), "{error}");
    }
    with.caller.modifier = Some(Modifier::INVALID);
    assert!(plan(&Request { planes: (&[], &[]), ..with }, &metadata()).unwrap().uses_metadata(), "INVALID is none");
}

#[test]
fn offsets_and_shared_memory_are_linear() {
    let linear = Computed { linear: true, has_metadata: false, ..COMPUTED };
    let mut inside = Request { computed: linear, ..request() };
    inside.caller.offset = Bytes(65536);
    inside.caller.buffer = Bytes(65536 + SURFACE.get());
    let imported = plan(&inside, &metadata()).unwrap();
    assert_eq!(imported.steps.first(), Some(&Step::AssumeLinear(Assumed::Offset)));
    assert!(!imported.uses_metadata() && !imported.dcc);
    inside.caller.buffer = SURFACE;
    assert!(plan(&inside, &metadata()).unwrap_err().to_string().contains("ends past"));

    let shared = Request { dedicated: false, computed: linear, ..request() };
    let imported = plan(&shared, &metadata()).unwrap();
    assert_eq!(imported.steps.first(), Some(&Step::AssumeLinear(Assumed::NotDedicated)));
    assert_eq!(imported.reading.outcome, Outcome::Ignored(Ignored::NotDedicated));
    let tiled = plan(&Request { dedicated: false, ..request() }, &metadata()).unwrap_err();
    assert!(tiled.to_string().contains("an explicit modifier"), "{tiled}");
}

#[test]
fn what_is_refused_and_what_goes_on_without_dcc() {
    let kms = plan(&Request { handle: Handle::Kms, ..request() }, &metadata()).unwrap_err();
    assert_eq!(*kms.kind(), Kind::Unsupported);
    let mut wide = request();
    wide.caller.width = 1921;
    assert!(plan(&wide, &metadata()).unwrap_err().to_string().contains("WIDTH or HEIGHT"));
    let mut small = request();
    small.caller.buffer = Bytes(TOTAL.get() - 1);
    assert!(plan(&small, &metadata()).unwrap_err().to_string().contains("DCC ends past"));

    let mut other = request();
    other.reader.pci_id = 0x73df;
    let imported = plan(&other, &metadata()).unwrap();
    assert_eq!((imported.reading.outcome, imported.dcc), (Outcome::DropDcc(Because::PciId), false));
}

/// Stride rules, row by row.
#[test]
fn strides() {
    let free = Computed { linear: true, has_metadata: false, ..COMPUTED };
    let gfx = |level| Computed { level, ..free };
    let tiled8 = Computed { level: Level::Gfx8, linear: false, has_metadata: false, ..COMPUTED };
    let rows: [(&str, Computed, u64, Result<u64, &str>); 17] = [
        ("linear, GFX10.3", free, 8192, Ok(8192)),
        ("linear, GFX9 counts 256", gfx(Level::Gfx9), 7808, Err("multiple of 256")),
        ("linear, GFX12 counts 128", gfx(Level::Gfx12), 7808, Ok(7808)),
        ("linear, GFX8 counts 64", gfx(Level::Gfx8), 7744, Ok(7744)),
        (
            "linear, GFX8, 16 bytes a pixel count 128",
            Computed { bytes_per_element: Bytes(16), ..gfx(Level::Gfx8) },
            7744,
            Err("128"),
        ),
        ("linear, too short", free, 7424, Err("a row needs 7680")),
        ("GFX10 has no pitch", gfx(Level::Gfx10), 8192, Err("GFX10 have no pitch")),
        ("GFX10, the computed one", gfx(Level::Gfx10), 7680, Ok(7680)),
        ("several levels", Computed { levels: 2, ..free }, 8192, Err("layers or levels")),
        ("several layers", Computed { layers: 2, ..free }, 8192, Err("layers or levels")),
        ("DCC", COMPUTED, 8192, Err("there is DCC")),
        ("tiled, GFX9 and later", Computed { has_metadata: false, ..COMPUTED }, 8192, Err("no pitch of their own")),
        ("tiled, GFX8", tiled8, 8192, Ok(8192)),
        ("tiled, GFX8, not a block", tiled8, 7936, Err("multiple of 512")),
        ("three dimensions, linear", Computed { three_dimensional: true, ..free }, 1, Ok(7680)),
        ("three dimensions, tiled, GFX8", Computed { three_dimensional: true, ..tiled8 }, 1, Ok(7680)),
        (
            "three dimensions, tiled, GFX9 and later",
            Computed { three_dimensional: true, ..COMPUTED },
            7680,
            Err("three dimensions"),
        ),
    ];
    for (name, computed, asked, expected) in rows {
        match (computed.check(Bytes(asked)), expected) {
            (Ok(stride), Ok(expected)) => assert_eq!(stride, Bytes(expected), "{name}"),
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{name}: {error}"),
            (found, expected) => panic!("{name}: expected {expected:?}, found {found:?}"),
        }
    }
    let asked = Request { stride: Some(Bytes(8192)), ..request() };
    assert!(plan(&asked, &metadata()).unwrap_err().to_string().contains("8192"));
}

/// GFX9: the block of Vega10 is 1920×1080.
fn vega10(version: u32) -> Metadata {
    let dwords: [u32; 10] = [version, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0];
    let bytes: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    Metadata { word: Word(0x8000_0800_0000_001a), block: Block::new(&bytes).unwrap() }
}

#[test]
fn a_larger_block_means_another_layout() {
    let mut narrow = request();
    narrow.reader = Reader { pci_id: 0x687f, level: Level::Gfx9 };
    narrow.caller.width = 1900;
    narrow.computed = Computed { level: Level::Gfx9, has_metadata: false, ..COMPUTED };
    let imported = plan(&narrow, &vega10(1)).unwrap();
    assert_eq!(
        imported.steps[2..],
        [Step::Block(Outcome::AcceptLarger { dcc: false }), Step::ComputeAgain { width: 1920, height: 1080 }]
    );

    // Who pretended to be another chip is refused before anybody looks at strides and planes.
    let mut wrong = Request { stride: Some(Bytes(1)), ..narrow };
    let error = plan(&wrong, &vega10(2 << 16 | 3)).unwrap_err();
    assert!(error.to_string().contains("pretended"), "{error}");
    wrong.stride = None;
    assert!(plan(&wrong, &vega10(1)).is_ok());
}

#[test]
fn a_display_dcc_past_the_buffer_is_refused() {
    let mut outside = metadata();
    outside.word = Word(outside.word.0 & !(0xff_ffff << 5) | (TOTAL.get().div_ceil(256)) << 5);
    let error = plan(&request(), &outside).unwrap_err();
    assert!(error.to_string().contains("DCC ends past"), "{error}");
}
