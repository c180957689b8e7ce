//! Messages: every kind survives the way there and back, and nothing a peer sends gets further than a refusal.
//!
//! `corpus/wire` holds one file for each case below, plus whatever else once broke a parser; all are replayed. To write the
//! files anew after a change of the format, run this test with `HANDOVER_BLESS=1`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::PathBuf;

use handover_model::wire::{MAX_MESSAGE, MAX_TEXT, Message, Roles, SurfaceMessage};
use handover_model::{
    Bytes, Cell, Cells, Compression, Constraints, ExportFlags, Extent, Format, Kind, Layout, Modifier, PlaneLayout,
    ReadOnly,
};
use handover_model::{Rect, Stage};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn surface(layout: Layout, cells: Vec<Cell>) -> SurfaceMessage {
    SurfaceMessage {
        pool: 0x0123_4567_89ab_cdef,
        index: 2,
        surfaces: 4,
        layout,
        memory: layout.size(),
        cells: Cells::new(&layout, cells).unwrap(),
        access: ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH,
        read_only: ReadOnly::Sealed,
    }
}

fn rect(x: u32, y: u32, width: u32, height: u32) -> Cell {
    Cell::Rect(Rect::new(x, y, Extent::new(width, height).unwrap()).unwrap())
}

fn tiled() -> SurfaceMessage {
    let extent = Extent::new(720, 404).unwrap();
    let layout = Layout::blocks(Format::XRGB8888, extent, Compression::Possible, Constraints::NONE).unwrap();
    surface(layout, vec![rect(0, 0, 360, 404), rect(360, 0, 360, 404)])
}

/// A layout of `DRM_FORMAT_MOD_QCOM_COMPRESSED`, which no code here knows: two planes in one place.
fn opaque(format: Format, extent: Extent) -> Layout {
    let plane = PlaneLayout { offset: Bytes(4096), stride: Bytes(512), size: Bytes(8192) };
    let modifier = Modifier(0x0500_0000_0000_0001);
    Layout::from_allegation(Some(format), Some(extent), modifier, &[plane, plane], Bytes(12_288)).unwrap()
}

/// One message of each kind and shape.
fn messages() -> Vec<(&'static str, Message)> {
    let extent = Extent::new(16, 16).unwrap();
    let nv12 = Layout::linear(Format::NV12, extent, Constraints::NONE).unwrap();
    let fields = vec![Cell::Rows { start: 0, step: 2 }, Cell::Rows { start: 1, step: 2 }];
    let buffer = Layout::buffer(Bytes(65_536)).unwrap();
    vec![
        ("hello", Message::Hello { version: 1, roles: Roles::PRODUCER | Roles::CONSUMER }),
        ("surface-blocks", Message::Surface(tiled())),
        ("surface-rows", Message::Surface(surface(nv12, fields))),
        ("surface-planes", Message::Surface(surface(nv12, vec![Cell::Plane(1), Cell::Plane(0)]))),
        ("surface-opaque", Message::Surface(surface(opaque(Format::XRGB8888, extent), vec![rect(0, 0, 16, 16)]))),
        ("surface-buffer", Message::Surface(surface(buffer, vec![Cell::View(3), Cell::View(4)]))),
        ("mapped", Message::Mapped { index: 3 }),
        ("frame", Message::Frame { index: 1, frame: 189 }),
        ("released", Message::Released { index: 1, frame: u64::MAX }),
        ("end", Message::End),
        ("refused", Message::Refused { stage: Stage::Import, text: "no decoder for Größe".into() }),
    ]
}

/// Offsets into a surface message, from the table of fields: behind a header of 12 bytes.
const INDEX: usize = 12 + 8;
const SURFACES: usize = INDEX + 4;
const ACCESS: usize = SURFACES + 4;
const READ_ONLY: usize = ACCESS + 1;
const FORMAT: usize = READ_ONLY + 1;
const WIDTH: usize = FORMAT + 4;
const MODIFIER: usize = WIDTH + 8;
const MEMORY: usize = MODIFIER + 8;
const PLANES: usize = MEMORY + 8;
const SECOND_OFFSET: usize = PLANES + 1 + 24;
const CELLS: usize = SECOND_OFFSET + 24;

/// A good surface message with some bytes replaced.
fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut message = Message::Surface(tiled()).encode();
    message[at..at + bytes.len()].copy_from_slice(bytes);
    message
}

fn with_length(mut message: Vec<u8>) -> Vec<u8> {
    let length = message.len() as u32;
    message[8..12].copy_from_slice(&length.to_le_bytes());
    message
}

/// Name, bytes, kind of the refusal, and a part of its text. All come with two descriptors.
fn hostile() -> Vec<(&'static str, Vec<u8>, Kind, &'static str)> {
    let good = Message::Surface(tiled()).encode();
    let refused = Message::Refused { stage: Stage::Import, text: "abc".into() }.encode();
    let hello = Message::Hello { version: 1, roles: Roles::CONSUMER }.encode();
    let mut no_utf8 = refused.clone();
    no_utf8[16] = 0xff;
    let mut long_text = refused.clone();
    long_text[13..15].copy_from_slice(&513_u16.to_le_bytes());
    let mut no_stage = refused;
    no_stage[12] = 8;
    let mut no_roles = hello.clone();
    no_roles[16] = 0;
    let mut far_index = Message::Mapped { index: 0 }.encode();
    far_index[12..16].copy_from_slice(&1024_u32.to_le_bytes());
    let cut = with_length(good[..good.len() - 1].to_vec());
    let mut one_cell_more = good.clone();
    one_cell_more[CELLS] = 3;
    vec![
        ("nothing", vec![], Kind::Truncated, "`magic`"),
        ("no-magic", patched(0, b"HDMI"), Kind::Malformed, "`magic`"),
        ("other-version", patched(4, &[9]), Kind::Unsupported, "version 9"),
        ("unknown-kind", patched(6, &[0xee]), Kind::Malformed, "`kind`"),
        ("short", good[..good.len() - 1].to_vec(), Kind::Truncated, "`length`"),
        ("short-and-says-so", cut, Kind::Truncated, "`cell height`"),
        ("trailing", with_length([&good[..], &[0]].concat()), Kind::Malformed, "`end`"),
        ("trailing-unsaid", [&good[..], &[0]].concat(), Kind::Malformed, "`length`"),
        ("too-long", vec![0; MAX_MESSAGE + 1], Kind::Malformed, "`length`"),
        ("no-utf8", no_utf8, Kind::Malformed, "`text`"),
        ("long-text", long_text, Kind::Malformed, "`text`"),
        ("no-stage", no_stage, Kind::Malformed, "`stage`"),
        ("no-roles", no_roles, Kind::Malformed, "`roles`"),
        ("far-index", far_index, Kind::Malformed, "`index`"),
        ("descriptors-unasked", hello, Kind::Malformed, "`descriptors`"),
        ("index-past-the-pool", patched(INDEX, &[4]), Kind::Malformed, "`index`"),
        ("empty-pool", patched(SURFACES, &[0]), Kind::Malformed, "`index`"),
        ("huge-pool", patched(SURFACES, &[0xff; 4]), Kind::Malformed, "`surfaces`"),
        ("no-access", patched(ACCESS, &[4]), Kind::Malformed, "`access`"),
        ("unknown-access", patched(ACCESS, &[9]), Kind::Malformed, "`access`"),
        ("no-such-class", patched(READ_ONLY, &[3]), Kind::Malformed, "`read only`"),
        ("unknown-format", patched(FORMAT, b"ZZZZ"), Kind::Unsupported, "ZZZZ"),
        ("buffer-with-extent", patched(FORMAT, &[0; 4]), Kind::Malformed, "`width`"),
        ("no-width", patched(WIDTH, &[0; 4]), Kind::Malformed, "`width`"),
        ("huge-width", patched(WIDTH, &[0xff; 4]), Kind::Malformed, "`width`"),
        ("wider-than-its-stride", patched(WIDTH, &[0xd1, 2]), Kind::Malformed, "tile of a row"),
        ("foreign-modifier", patched(MODIFIER, &[1, 0, 0, 0, 0, 0, 0, 1]), Kind::Malformed, "2 planes"),
        ("unassigned-modifier", patched(MODIFIER, &[2, 0, 0, 0, 0, 0, 0, 0xf0]), Kind::Unsupported, "not known here"),
        (
            "no-modifier",
            patched(MODIFIER, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]),
            Kind::Unsupported,
            "producer",
        ),
        ("small-memory", patched(MEMORY, &[0, 0, 0, 0]), Kind::Malformed, "beyond the memory"),
        ("no-planes", patched(PLANES, &[0]), Kind::Malformed, "0 planes"),
        ("many-planes", patched(PLANES, &[5]), Kind::Malformed, "`planes`"),
        ("overlap", patched(SECOND_OFFSET, &[0; 8]), Kind::Malformed, "before the end"),
        ("overflow", patched(SECOND_OFFSET, &[0xff; 8]), Kind::Malformed, "beyond the memory"),
        ("many-cells", patched(CELLS, &[65]), Kind::Malformed, "`cells`"),
        ("a-cell-missing", one_cell_more, Kind::Truncated, "`cell kind`"),
        ("unknown-cell", patched(CELLS + 1, &[9]), Kind::Malformed, "`cell kind`"),
        ("cell-outside", patched(CELLS + 2, &[0, 0x40]), Kind::Malformed, "`cell`"),
        ("cell-cuts-a-tile", patched(CELLS + 2 + 8, &[0x67, 1]), Kind::Malformed, "write unit"),
        ("cells-overlap", patched(CELLS + 1 + 17 + 1, &[0x60, 1]), Kind::Malformed, "in common"),
    ]
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/wire")
}

#[test]
fn every_kind_there_and_back() {
    for (name, message) in messages() {
        let bytes = message.encode();
        assert!(bytes.len() <= MAX_MESSAGE, "{name}");
        assert_eq!(Message::parse(&bytes, message.descriptors()).unwrap(), message, "{name}");
        for wrong in [message.descriptors() + 1, 253] {
            let error = Message::parse(&bytes, wrong).unwrap_err();
            assert!(error.to_string().contains("`descriptors`"), "{name}: {error}");
        }
        for length in 0..bytes.len() {
            assert!(Message::parse(&bytes[..length], message.descriptors()).is_err(), "{name} cut to {length}");
            let cut = with_length_if_any(bytes[..length].to_vec());
            assert!(Message::parse(&cut, message.descriptors()).is_err(), "{name} cut to {length}, and says so");
        }
    }
}

fn with_length_if_any(message: Vec<u8>) -> Vec<u8> {
    if message.len() < 12 { message } else { with_length(message) }
}

#[test]
fn hostile_messages_are_refused_and_the_field_is_named() {
    for (name, bytes, kind, text) in hostile() {
        let error = Message::parse(&bytes, 2).unwrap_err();
        assert_eq!(*error.kind(), kind, "{name}: {error}");
        assert_eq!(error.stage(), Stage::Import, "{name}");
        assert!(error.to_string().contains(text), "{name}: {error}");
    }
}

#[test]
fn the_greatest_message_fits() {
    let layout = Layout::linear(Format::YUV420, Extent::new(128, 2).unwrap(), Constraints::NONE).unwrap();
    let cells = (0..64).map(|x| rect(2 * x, 0, 2, 2)).collect();
    let message = Message::Surface(surface(layout, cells));
    assert!(message.encode().len() < MAX_MESSAGE / 2);
    assert_eq!(Message::parse(&message.encode(), 2).unwrap(), message);
}

#[test]
fn long_texts_are_cut_between_characters() {
    let text = "ä".repeat(MAX_TEXT);
    let message = Message::Refused { stage: Stage::Release, text: format!("x{text}") };
    match Message::parse(&message.encode(), 0).unwrap() {
        Message::Refused { stage, text } => assert_eq!((stage, text.len()), (Stage::Release, MAX_TEXT - 1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_corpus_is_replayed() {
    let mut wanted: Vec<(String, Vec<u8>)> = Vec::new();
    wanted.extend(messages().into_iter().map(|(name, message)| (format!("good-{name}.bin"), message.encode())));
    wanted.extend(hostile().into_iter().map(|(name, bytes, ..)| (format!("bad-{name}.bin"), bytes)));
    let bless = std::env::var_os("HANDOVER_BLESS").is_some();
    for (name, bytes) in &wanted {
        let path = corpus().join(name);
        if bless {
            fs::write(&path, bytes).unwrap();
        }
        assert_eq!(&fs::read(&path).unwrap(), bytes, "{name}: the bytes of a message changed; bump its version");
    }
    let mut replayed = 0;
    for file in fs::read_dir(corpus()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let [none, _, two] = [0, 1, 2].map(|descriptors| Message::parse(&bytes, descriptors).is_ok());
        assert!(!name.starts_with("good-") || none || two, "{name}");
        assert!(!name.starts_with("bad-") || !two, "{name}");
        replayed += 1;
    }
    assert!(replayed >= wanted.len());
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<u32>(), 1..8_u32)
            .prop_map(|(version, roles)| Message::Hello { version, roles: Roles::from_bits_truncate(roles) }),
        (0..1024_u32, any::<u64>()).prop_map(|(index, frame)| Message::Frame { index, frame }),
        (0..8_usize, ".{0,80}").prop_map(|(stage, text)| Message::Refused { stage: Stage::ALL[stage], text }),
        any_surface().prop_map(Message::Surface),
    ]
}

fn any_surface() -> impl Strategy<Value = SurfaceMessage> {
    let shape = (proptest::sample::select(Format::ALL), 1..600_u32, 1..600_u32, 0..3_u8, 1..300_u64);
    let rest = (any::<u64>(), 0..1024_u32, 0..100_000_u64, 0..3_u8, 1..4_u8);
    (shape, rest).prop_map(|((format, width, height, kind, align), (pool, index, more, read_only, access))| {
        let extent = Extent::new(width, height).unwrap();
        let constraints = Constraints { stride_align: Bytes(align), offset_align: Bytes(align) };
        let blocks = Layout::blocks(format, extent, Compression::Possible, constraints);
        let layout = match blocks {
            Ok(blocks) if kind == 1 => blocks,
            _ if kind == 2 => opaque(format, extent),
            _ => Layout::linear(format, extent, constraints).unwrap(),
        };
        SurfaceMessage {
            pool,
            index,
            surfaces: index + 1,
            memory: layout.size().checked_add(Bytes(more)).unwrap(),
            cells: Cells::new(&layout, vec![Cell::Rect(Rect::whole(extent))]).unwrap(),
            layout,
            access: ExportFlags::from_bits_truncate(access),
            read_only: ReadOnly::from_bits(read_only).unwrap(),
        }
    })
}

/// What is accepted is written the same way again: no two messages mean the same, and no byte is ignored.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    for descriptors in 0..3 {
        if let Ok(message) = Message::parse(bytes, descriptors) {
            prop_assert_eq!(message.descriptors(), descriptors);
            prop_assert_eq!(message.encode(), bytes);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn messages_survive_the_way(message in any_message()) {
        prop_assert_eq!(Message::parse(&message.encode(), message.descriptors()).unwrap(), message);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        check(&bytes)?;
    }

    /// Random fields behind a good header get past it.
    #[test]
    fn random_fields_never_panic(kind in 0..9_u16, fields in proptest::collection::vec(any::<u8>(), 0..300)) {
        let header = [&b"HNDO"[..], &1_u16.to_le_bytes(), &kind.to_le_bytes(), &[0; 4]].concat();
        check(&with_length([header, fields].concat()))?;
    }

    #[test]
    fn mutated_messages_never_panic(
        message in any_message(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::weighted(0.2, any::<proptest::sample::Index>()),
    ) {
        let mut bytes = message.encode();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
            bytes = with_length_if_any(bytes);
        }
        check(&bytes)?;
    }
}
