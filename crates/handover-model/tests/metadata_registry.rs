//! "What is this?": the codecs of every driver, and one registered from outside with no file of the library changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::metadata::blocks::PLAIN_HEADER;
use handover_model::metadata::field::{Bits, Place};
use handover_model::metadata::registry::{Codec, Decoded, Query, Registry};
use handover_model::{Block, Error, Header, Kind, Metadata, Modifier, Result, Stage, Word};

fn word(word: u64) -> Metadata {
    Metadata { word: Word(word), block: Block::EMPTY }
}

fn dwords(dwords: &[u32]) -> Block {
    let bytes: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    Block::new(&bytes).unwrap()
}

const I915_Y_STRIDE_4096: u64 = 4096 | 2;

#[test]
fn the_words_of_every_driver() {
    let modifier = |value: u64| Some(Modifier(value));
    for (driver, value, summary, expected) in [
        ("radeon", 0x0000_1000_0000_0000, "linear, pitch 4096", modifier(0)),
        ("radeon", 0x0000_1000_0114_1103, "macro tiles of micro tiles, pitch 4096", None),
        ("i915", 0, "unknown: everything newer than X and Y is by modifier, stride 0 bytes", None),
        ("radeon", 0x0000_1000_0000_0004, "linear, pitch 4096", None),
        ("radeon", 0x0000_1000_0000_0008, "linear, pitch 4096", None),
        ("radeon", 0x0000_1000_0000_0010, "linear, pitch 4096", None),
        ("i915", I915_Y_STRIDE_4096, "Y tiles, stride 4096 bytes", modifier(0x0100_0000_0000_0002)),
        ("i915", 1 << 32 | 0x1001, "X tiles, stride 4096 bytes", None),
        ("nouveau", 0, "linear (kind 0)", modifier(0)),
        ("nouveau", 0xfe << 40 | 0x40, "kind 0xfe, tile mode 0x40", None),
        ("tegra", 0, "linear (pitch)", modifier(0)),
        ("tegra", 1, "tiles of 16x16 bytes", modifier(0x0300_0000_0000_0001)),
        ("tegra", 4 << 32 | 2, "blocks of 128 rows", modifier(0x0300_0000_0000_0014)),
        ("vc4", 0, "linear", modifier(0)),
        ("vc4", 0x0700_0000_0000_0001, "T tiles", modifier(0x0700_0000_0000_0001)),
    ] {
        let metadata = word(value);
        let (codec, decoded) = Registry::new().identify(&Query::new(&metadata).from_driver(driver)).unwrap();
        assert_eq!((codec, decoded.summary.as_str(), decoded.modifier.ok()), (driver, summary, expected));
        assert!(!decoded.fields.is_empty() && decoded.beyond_word.is_empty());
    }
}

#[test]
fn wrong_words_name_their_field() {
    for (driver, value, name) in [
        ("radeon", 3 << 8, "EG_BANKW"),
        ("radeon", 7 << 24, "EG_TILE_SPLIT"),
        ("i915", 3, "TILING_MODE"),
        ("i915", 1 << 40, "bits 63:35"),
        ("tegra", 3, "MODE"),
        ("tegra", 6 << 32 | 2, "VALUE"),
        ("tegra", 1 << 32, "VALUE"),
        ("vc4", 0x0700_0000_0000_0004, "LINEAR and T tiles"),
    ] {
        let metadata = word(value);
        let error = Registry::new().identify(&Query::new(&metadata).from_driver(driver)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(*error.kind(), Kind::Malformed);
    }
}

#[test]
fn msm_keeps_a_modifier_in_its_block() {
    let stored = |bytes: &[u8]| Metadata { word: Word(0), block: Block::new(bytes).unwrap() };
    let ubwc = stored(&0x0500_0000_0000_0001_u64.to_le_bytes());
    let (_, decoded) = Registry::new().identify(&Query::new(&ubwc).from_driver("msm")).unwrap();
    assert_eq!(decoded.modifier.unwrap(), Modifier(0x0500_0000_0000_0001));
    assert_eq!(decoded.beyond_word.len(), 1);
    for (bytes, kind) in
        [(&[1; 7][..], Kind::Unsupported), (&[1; 12][..], Kind::Unsupported), (&[1; 129][..], Kind::Malformed)]
    {
        let metadata = stored(bytes);
        let error = Registry::new().identify(&Query::new(&metadata).from_driver("msm")).unwrap_err();
        assert_eq!(*error.kind(), kind);
    }
}

#[test]
fn msm_and_a_modifier_that_is_none() {
    for wrong in [0x0500_0000_ffff_ffff_u64, Modifier::INVALID.0] {
        let metadata = Metadata { word: Word(0), block: Block::new(&wrong.to_le_bytes()).unwrap() };
        let (_, decoded) = Registry::new().identify(&Query::new(&metadata).from_driver("msm")).unwrap();
        assert!(decoded.modifier.is_err(), "{wrong:#x}");
    }
}

/// A header and nothing more says whose word it is, if there is one.
#[test]
fn a_bare_header_names_the_driver_of_a_word() {
    let registry = Registry::new();
    for (vendor, value, driver) in [(0x8086, I915_Y_STRIDE_4096, "i915"), (0x10de, 0xfe << 40 | 0x40, "nouveau")] {
        let header = Header { vendor_id: vendor, pci_id: 1, version: 1, flags: 0 };
        let with = |value, block| Metadata { word: Word(value), block };
        let (codec, _) = registry.identify(&Query::new(&with(value, header.alone()))).unwrap();
        assert_eq!(codec, driver);
        let longer = dwords(&[1, u32::from(vendor) << 16 | 1, 0]);
        for nothing in [with(value, longer), with(value, Block::EMPTY)] {
            assert!(registry.identify(&Query::new(&nothing)).is_err(), "{nothing:?}");
        }
        assert!(registry.identify(&Query::new(&with(value, header.alone())).from_driver("xe")).is_err());
    }
}

/// A word of 0 is an answer of nouveau's, whose buffers have a kind from the start, and none of i915's, where nobody may have set one.
#[test]
fn a_word_of_0_is_linear_where_the_driver_says_so_and_nowhere_else() {
    let registry = Registry::new();
    let said = |vendor_id, driver: Option<&'static str>| {
        let block = Header { vendor_id, pci_id: 1, version: 1, flags: 0 }.alone();
        let metadata = Metadata { word: Word(0), block };
        let query = Query { driver, ..Query::new(&metadata) };
        registry.identify(&query).and_then(|(_, decoded)| decoded.modifier)
    };
    for driver in [None, Some("nouveau")] {
        assert_eq!(said(0x10de, driver).unwrap(), Modifier::LINEAR);
    }
    for driver in [None, Some("i915")] {
        let error = said(0x8086, driver).unwrap_err();
        assert!(error.to_string().contains("bits 6:0 TILING_MODE are 0, which is unknown"), "{error}");
    }
    for vendor_id in [0x1002, 0x1234] {
        assert!(said(vendor_id, None).is_err(), "{vendor_id:#x}");
    }
}

#[test]
fn a_header_alone_is_enough_for_amdgpu_and_the_simulated_devices() {
    let vega = dwords(&[1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0]);
    let metadata = Metadata { word: Word(0x8000_0800_0000_001a), block: vega };
    let (codec, decoded) = Registry::new().identify(&Query::new(&metadata)).unwrap();
    assert_eq!(codec, "amdgpu");
    assert_eq!(decoded.summary, "Vega10 (GFX9): 2D image of 1920x1080, B8G8R8A8_UNORM, no DCC, 64K_D_X");
    assert_eq!(decoded.modifier.unwrap(), Modifier(0x0200_0000_0480_1a01));
    let beyond = decoded.beyond_word.join("; ");
    for said in ["Vega10 (GFX9), PCI ID 0x687f", "2D 1920x1080", "B8G8R8A8_UNORM", "levels: 1", "no DCC", "1920 texels"]
    {
        assert!(beyond.contains(said), "{said} is not in {beyond}");
    }

    let plain = Metadata { word: Word(0), block: PLAIN_HEADER.alone() };
    let (codec, decoded) = Registry::new().identify(&Query::new(&plain)).unwrap();
    assert_eq!((codec, decoded.modifier.unwrap()), ("simulated", Modifier::LINEAR));
}

/// Parameters that the metadata does not carry, by name.
#[test]
fn parameters_complete_what_the_metadata_says() {
    let navi21 = dwords(&[1, 0x1002_73bf, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0xc069_0000, 0x87]);
    let metadata = Metadata { word: Word(0x8000_18ff_e010_e01b), block: navi21 };
    let registry = Registry::new();
    let (_, alone) = registry.identify(&Query::new(&metadata)).unwrap();
    assert!(alone.modifier.unwrap_err().to_string().contains("GB_ADDR_CONFIG"));
    let known = [("gb_addr_config", 0x444)];
    let (_, with) = registry.identify(&Query::new(&metadata).with(&known)).unwrap();
    assert_eq!(with.modifier.unwrap(), Modifier(0x0200_0000_2093_7b03));

    let bare = word(0x1a);
    let error = registry.identify(&Query::new(&bare).from_driver("amdgpu")).unwrap_err();
    assert!(error.to_string().contains("pci_id or gfx"), "{error}");
    for known in [[("pci_id", 0x687f)], [("gfx", 90)]] {
        let (_, decoded) = registry.identify(&Query::new(&bare).from_driver("amdgpu").with(&known)).unwrap();
        assert!(decoded.summary.contains("64K_D_X"), "{}", decoded.summary);
    }
    for codec in registry.codecs() {
        for (name, meaning) in codec.parameters() {
            assert!(!name.is_empty() && !meaning.is_empty(), "{}", codec.name());
        }
    }
}

#[test]
fn nothing_is_unknown_and_never_linear() {
    let nothing = Metadata::default();
    let error = Registry::new().identify(&Query::new(&nothing)).unwrap_err();
    assert!(error.to_string().contains("neither means linear"), "{error}");
    let (_, decoded) = Registry::new().identify(&Query::new(&nothing).from_driver("amdgpu")).unwrap();
    assert!(decoded.summary.starts_with("unknown") && decoded.modifier.is_err());
    let stranger = Metadata { word: Word(0), block: dwords(&[1, 0x1234_4680]) };
    let error = Registry::new().identify(&Query::new(&stranger)).unwrap_err();
    assert!(error.to_string().contains("1234:4680") && error.to_string().contains("amdgpu, simulated, msm"), "{error}");
}

/// A vendor that this library has never heard of.
struct Acme;

const ACME: Header = Header { vendor_id: 0xacce, pci_id: 7, version: 1, flags: 0 };
const TILES: Bits = Bits::new("TILES", 3, 0);

impl Codec for Acme {
    fn name(&self) -> &'static str {
        "acme"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        query.metadata.block.header().is_some_and(|header| header.vendor_id == ACME.vendor_id)
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let raw = query.metadata.word.0;
        if TILES.get(raw) > 1 {
            return Err(Error::new(Stage::Import, Kind::Malformed).why(format!("{TILES} are {}", TILES.get(raw))));
        }
        let field = TILES.show(Place::Word, raw, "tiles of acme");
        Ok(Decoded::new("acme", vec![field], Ok(Modifier(0xac00_0000_0000_0001)))
            .beyond_word(vec!["the device".into()]))
    }
}

#[test]
fn a_codec_from_outside_goes_first() {
    let mut registry = Registry::new();
    let metadata = Metadata { word: Word(1), block: ACME.alone() };
    assert!(registry.identify(&Query::new(&metadata)).is_err());
    registry.register(Box::new(Acme));
    let (codec, decoded) = registry.identify(&Query::new(&metadata)).unwrap();
    assert_eq!((codec, decoded.summary.as_str(), decoded.fields.len()), ("acme", "acme", 1));
    let wrong = Metadata { word: Word(2), ..metadata };
    assert!(registry.identify(&Query::new(&wrong)).unwrap_err().to_string().contains("bits 3:0 TILES are 2"));
    assert_eq!(format!("{registry:?}").matches("acme").count(), 1);
    assert!(Registry::empty().identify(&Query::new(&metadata)).is_err());
}
