//! AMDGPU's word and block by hand: the worked blocks A to M, each field as its text says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::metadata::amdgpu::{Description, Extra, ImageType, Level, TilingWord};
use handover_model::{Block, Bytes, Fourcc, Modifier, Word};

fn block(dwords: &[u32]) -> Block {
    let bytes: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    Block::new(&bytes).unwrap()
}

/// Word and block decoded by the PCI ID, encoded again, and every field as text.
struct Worked {
    word: TilingWord,
    block: Description,
    text: Vec<String>,
}

impl Worked {
    fn new(word: u64, dwords: &[u32]) -> Self {
        let stored = block(dwords);
        let description = Description::decode_by_id(&stored).unwrap();
        let parsed = TilingWord::parse(description.descriptor.level, Word(word)).unwrap();
        assert_eq!(parsed.word().unwrap(), Word(word));
        let first = dwords[0];
        let again = description.encode_version(first as u16, (first >> 16) as u16).unwrap();
        assert_eq!(again, stored, "decoded and encoded");
        let fields = parsed.fields().into_iter().chain(description.fields(&stored));
        let text = fields.map(|field| field.to_string()).collect();
        Self { word: parsed, block: description, text }
    }

    /// Each of these is one of the fields, word for word.
    fn says(&self, lines: &[&str]) {
        for line in lines {
            assert!(self.text.iter().any(|field| field == line), "{line}\nis not among\n{}", self.text.join("\n"));
        }
    }

    fn is_argb_1080p(&self, level: Level, swizzle_or_tile: u8) {
        let image = &self.block.descriptor;
        assert_eq!((image.width, image.height, image.last_level), (1920, 1080, 0));
        assert_eq!(image.texel_format().unwrap().fourcc(), Some("AR24".parse::<Fourcc>().unwrap()));
        assert_eq!((image.level, image.tiling, image.image), (level, swizzle_or_tile, ImageType::D2));
    }

    fn dcc(&self) -> Option<u64> {
        let dcc = self.block.descriptor.dcc;
        dcc.enabled.then_some(dcc.offset.get())
    }
}

#[test]
fn a_polaris10_scanout() {
    let a =
        Worked::new(0x0074_06c4, &[1, 0x1002_67df, 0, 0x00a0_0000, 0x410d_c77f, 0x90a0_0f2e, 0x00ff_e000, 0, 0, 0, 0]);
    a.is_argb_1080p(Level::Gfx8, 10);
    assert_eq!((a.dcc(), a.block.descriptor.pitch, a.block.level_offsets.clone()), (None, Some(2048), vec![Bytes(0)]));
    let TilingWord::Gfx6(word) = a.word else { panic!() };
    let tile = word.macro_tile().unwrap();
    assert_eq!((word.array_mode.name(), word.pipe_config, word.micro_tile_mode), ("2D thin1", 12, 0));
    assert_eq!((tile.split_bytes, tile.bank_width, tile.bank_height, tile.aspect, tile.banks), (512, 1, 4, 4, 16));
    a.says(&[
        "dword 3 bits 25:20 DATA_FORMAT = 10 (B8G8R8A8_UNORM)",
        "word bits 8:4 PIPE_CONFIG = 12 (P8_32x32_16x16)",
    ]);
    assert!(a.word.is_scanout() && !a.word.is_linear());
}

#[test]
fn b_polaris10_shared_texture_with_dcc() {
    let b = Worked::new(
        0x0074_16c4,
        &[1, 0x1002_67df, 0, 0x00a0_0000, 0x410d_c77f, 0x90e0_0f2e, 0x00ff_e000, 0, 0x0060_0000, 0x9000, 0],
    );
    b.is_argb_1080p(Level::Gfx8, 14);
    assert_eq!(b.dcc(), Some(0x90_0000));
    b.says(&["dword 8 bit 22 ALPHA_IS_ON_MSB = 1", "word bits 14:12 MICRO_TILE_MODE = 1 (thin)"]);
}

#[test]
fn c_polaris10_nine_levels() {
    let c = Worked::new(
        0x0074_16c4,
        &[
            1,
            0x1002_67df,
            0,
            0x00a0_0000,
            0x403f_c0ff,
            0x92e8_0fac,
            0x001f_e000,
            0,
            0x0060_0000,
            0x580,
            0,
            0x400,
            0x500,
            0x540,
            0x550,
            0x554,
            0x555,
            0x556,
            0x557,
        ],
    );
    let offsets: Vec<u64> = c.block.level_offsets.iter().map(|offset| offset.get() / 256).collect();
    assert_eq!(offsets, [0, 0x400, 0x500, 0x540, 0x550, 0x554, 0x555, 0x556, 0x557]);
    assert_eq!((c.dcc(), c.block.descriptor.last_level), (Some(0x5_8000), 8));
    c.says(&["dword 5 bits 19:16 LAST_LEVEL = 8 (9 levels)", "dword 5 bit 25 POW2_PAD = 1"]);
    c.says(&["dword 11 bits 31:0 LEVEL_OFFSET = 1024 (level at 262144 bytes)"]);
}

#[test]
fn d_polaris10_linear() {
    let d =
        Worked::new(0x0060_00c1, &[1, 0x1002_67df, 0, 0x00a0_0000, 0x410d_c77f, 0x9080_0f2e, 0x00ef_e000, 0, 0, 0, 0]);
    d.is_argb_1080p(Level::Gfx8, 8);
    assert_eq!((d.word.is_linear(), d.block.descriptor.pitch), (true, Some(1920)));
    d.says(&["word bits 22:21 NUM_BANKS = 3 (not macro tiled)"]);
}

#[test]
fn e_vega10_scanout() {
    let e = Worked::new(
        0x8000_0800_0000_001a,
        &[1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0],
    );
    e.is_argb_1080p(Level::Gfx9, 26);
    assert_eq!((e.dcc(), e.block.descriptor.bc_swizzle, e.block.descriptor.pitch), (None, 4, Some(1920)));
    e.says(&[
        "word bits 4:0 SWIZZLE_MODE = 26 (64K_D_X)",
        "word bit 43 DCC_INDEPENDENT_64B = 1",
        "word bit 63 SCANOUT = 1",
    ]);
}

#[test]
fn f_vega10_shared_texture_with_dcc() {
    let f = Worked::new(
        0x0000_08ff_e010_e01a,
        &[1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0x0c00_0000, 0x0060_0000, 0x8700],
    );
    f.is_argb_1080p(Level::Gfx9, 26);
    let dcc = f.block.descriptor.dcc;
    assert_eq!((f.dcc(), dcc.pipe_aligned, dcc.rb_aligned), (Some(0x87_0000), true, true));
    assert_eq!(f.word.dcc_offset(), Some(Bytes(0x87_0000)));
    f.says(&["word bits 42:29 DCC_PITCH_MAX = 2047 (DCC pitch 2048)"]);
}

#[test]
fn g_raven_scanout_with_retile_and_raven2_without() {
    let common =
        [1, 0x1002_15dd, 0, 0x00a0_0000, 0x410d_c77f, 0x9190_0f2e, 0x80ef_e000, 0x0c00_0000, 0x0060_0000, 0x8800];
    let raven = Worked::new(0x8000_08ff_e010_e019, &common);
    raven.is_argb_1080p(Level::Gfx9, 25);
    assert_eq!((raven.dcc(), raven.word.dcc_offset()), (Some(0x88_0000), Some(Bytes(0x87_0000))));
    let mut unaligned = common;
    (unaligned[1], unaligned[7], unaligned[9]) = (0x1002_15d8, 0, 0x8700);
    let raven2 = Worked::new(0x8000_08ff_e010_e019, &unaligned);
    let dcc = raven2.block.descriptor.dcc;
    assert_eq!((raven2.dcc(), dcc.pipe_aligned, dcc.rb_aligned), (Some(0x87_0000), false, false));
}

#[test]
fn h_navi10_shared_texture_and_scanout() {
    let mut dwords = [1, 0x1002_731f, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0x006b_0000, 0x87];
    let shared = Worked::new(0x0000_30ff_e010_e01b, &dwords);
    shared.is_argb_1080p(Level::Gfx10, 27);
    assert_eq!(shared.dcc(), Some(0x87_0000));
    (dwords[8], dwords[9]) = (0, 0);
    let shown = Worked::new(0x8000_3000_0000_001b, &dwords);
    assert_eq!((shown.dcc(), shown.word.dcc_offset()), (None, None));
}

const I: [u32; 10] = [1, 0x1002_73bf, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0xc069_0000, 0x87];
const I_WORD: u64 = 0x8000_18ff_e010_e01b;

#[test]
fn i_navi21_scanout_with_retile() {
    let i = Worked::new(I_WORD, &I);
    i.is_argb_1080p(Level::Gfx10_3, 27);
    assert_eq!((i.dcc(), i.word.dcc_offset()), (Some(0x87_c000), Some(Bytes(0x87_0000))));
    i.says(&[
        "dword 3 bits 28:20 FORMAT = 56 (B8G8R8A8_UNORM)",
        "dword 3 bits 31:30 WIDTH_LO = 3",
        "dword 5 bits 31:28 TYPE = 9 (2D)",
        "dword 5 bits 27:25 BC_SWIZZLE = 4",
        "dword 5 bits 24:20 SW_MODE = 27 (64K_R_X)",
        "dword 7 bits 22:20 PERF_MOD = 4",
        "dword 8 bits 31:24 META_DATA_ADDRESS_LO = 192",
        "dword 8 bit 22 ALPHA_IS_ON_MSB = 1",
        "dword 8 bit 21 COMPRESSION_EN = 1 (DCC)",
        "dword 8 bit 19 META_PIPE_ALIGNED = 1",
        "dword 8 bits 18:17 MAX_COMPRESSED_BLOCK_SIZE = 0 (64 bytes)",
        "dword 8 bits 16:15 MAX_UNCOMPRESSED_BLOCK_SIZE = 2 (256 bytes)",
        "word bit 44 DCC_INDEPENDENT_128B = 1",
    ]);
}

#[test]
fn j_navi21_shared_texture_with_and_without_dcc_and_linear() {
    let mut dwords = I;
    (dwords[8], dwords[9]) = (0x006b_0000, 0x87);
    let shared = Worked::new(0x0000_30ff_e010_e01b, &dwords);
    assert_eq!(shared.dcc(), Some(0x87_0000));
    shared.says(&["dword 8 bits 18:17 MAX_COMPRESSED_BLOCK_SIZE = 1 (128 bytes)"]);
    (dwords[8], dwords[9]) = (0, 0);
    assert_eq!(Worked::new(0x8000_3000_0000_001b, &dwords).dcc(), None);
    dwords[5] = 0x9800_0f2e;
    let linear = Worked::new(0x8000_3000_0000_0000, &dwords);
    assert_eq!((linear.word.is_linear(), linear.block.descriptor.tiling), (true, 0));
}

#[test]
fn k_navi31_scanout_with_retile() {
    let k = Worked::new(
        0x8000_30ff_e014_001f,
        &[1, 0x1002_744c, 0, 0xc2a0_0000, 0x010d_c1df, 0x99f0_0f2e, 0, 0x0040_0000, 0xc02b_0000, 0xa0],
    );
    k.is_argb_1080p(Level::Gfx11, 31);
    assert_eq!((k.dcc(), k.word.dcc_offset()), (Some(0xa0_c000), Some(Bytes(0xa0_0000))));
    k.says(&["dword 3 bits 28:20 FORMAT = 42 (B8G8R8A8_UNORM)", "dword 5 bits 24:20 SW_MODE = 31 (256K_R_X)"]);
}

#[test]
fn l_gfx12_scanout_with_compressed_pages_and_linear() {
    let mut dwords = [1, 0x1002_7550, 0, 0xc054_0000, 0x010d_c1df, 0x9830_0f2e, 0, 0x0040_0000, 0x0022_8000, 0];
    let l = Worked::new(0x8000_0000_0000_0a0b, &dwords);
    l.is_argb_1080p(Level::Gfx12, 3);
    assert_eq!((l.dcc(), l.word.dcc_offset()), (Some(0), None));
    l.says(&[
        "dword 3 bits 24:17 FORMAT = 42 (B8G8R8A8_UNORM)",
        "dword 8 bit 21 COMPRESSION_EN = 1 (the pages are compressed)",
        "dword 8 bits 16:15 MAX_UNCOMPRESSED_BLOCK_SIZE = 1 (128 bytes)",
        "word bits 13:8 DCC_DATA_FORMAT = 10 (CB_COLOR0_INFO.FORMAT)",
    ]);
    (dwords[5], dwords[6], dwords[8]) = (0x9800_0f2e, 0x77f, 0x0000_8000);
    let linear = Worked::new(0xa00, &dwords);
    assert_eq!((linear.word.is_linear(), linear.block.descriptor.pitch), (true, Some(1920)));
}

#[test]
fn m_extra_metadata() {
    let mut dwords = Vec::from(I);
    (dwords[0], dwords[9]) = (0x0001_0003, 0x87);
    dwords.push(7680);
    let stride = Worked::new(I_WORD, &dwords);
    assert_eq!(stride.block.extra, Some(Extra::Stride(Bytes(7680))));
    stride.says(&["dword 0 bits 31:16 FLAGS = 1 (EXTRA_MD)", "dword 10 bits 31:0 STRIDE = 7680 (7680 bytes)"]);
    assert_eq!(stride.block.encode().unwrap(), block(&I), "writers store version 1 and nothing of it");

    (dwords[5], dwords[8], dwords[9]) = (0x9800_0f2e, 0, 0);
    dwords.truncate(10);
    dwords.extend([0, 0, 1, 0, 7680]);
    let planes = Worked::new(0x8000_3000_0000_0000, &dwords);
    assert_eq!(planes.block.extra, Some(Extra::Planes(Modifier::LINEAR, vec![(Bytes(0), Bytes(7680))])));
}

#[test]
fn gfx7_ends_with_a_mask_and_no_offset() {
    let common = [1, 0x1002_67b0, 0, 0x00a0_0000, 0x400f_c03f, 0x90e0_0f2e, 0x0007_e000, 0, 0];
    for (last_level, mask) in [(0_u32, 0xffff_f1ff_u32), (3, 0xffff_ffff)] {
        let mut dwords = Vec::from(common);
        dwords[5] |= last_level << 16 | u32::from(last_level > 0) << 25;
        dwords.push(mask);
        dwords.extend((0..=last_level).map(|level| level * 64));
        let gfx7 = Worked::new(0x0068_1654, &dwords);
        assert_eq!((gfx7.dcc(), gfx7.block.descriptor.dcc.offset), (None, Bytes(0)));
        gfx7.says(&[&format!("dword 9 bits 31:0 SAMPLER_MASK = {mask:#x} (a mask for samplers, not an offset)")]);
    }
}
