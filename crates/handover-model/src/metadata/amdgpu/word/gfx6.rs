//! The tiling word of GFX6, 7 and 8: array mode, pipe configuration, and the parameters of macro tiles.
//!
//! Source: Linux, `amdgpu_drm.h` (AMDGPU_TILING_*); Mesa 25.0.7, `ac_surface.c:ac_surface_compute_bo_metadata`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{malformed, zero};
use crate::metadata::amdgpu::Level;
use crate::metadata::field::{Bits, Field, Place};
use crate::{Error, Kind, Result, Stage};

const ARRAY_MODE: Bits = Bits::new("ARRAY_MODE", 3, 0);
const PIPE_CONFIG: Bits = Bits::new("PIPE_CONFIG", 8, 4);
const TILE_SPLIT: Bits = Bits::new("TILE_SPLIT", 11, 9);
const MICRO_TILE_MODE: Bits = Bits::new("MICRO_TILE_MODE", 14, 12);
const BANK_WIDTH: Bits = Bits::new("BANK_WIDTH", 16, 15);
const BANK_HEIGHT: Bits = Bits::new("BANK_HEIGHT", 18, 17);
const ASPECT: Bits = Bits::new("MACRO_TILE_ASPECT", 20, 19);
const NUM_BANKS: Bits = Bits::new("NUM_BANKS", 22, 21);
const RESERVED: Bits = Bits::new("(reserved)", 63, 23);

/// GB_TILE_MODE.ARRAY_MODE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArrayMode(pub u8);

impl ArrayMode {
    /// Rows of elements with no alignment.
    pub const LINEAR_GENERAL: Self = Self(0);
    /// Rows of elements.
    pub const LINEAR_ALIGNED: Self = Self(1);
    /// Tiles of 8×8 elements.
    pub const TILED_1D_THIN1: Self = Self(2);
    /// Tiles within macro tiles, spread over pipes and banks.
    pub const TILED_2D_THIN1: Self = Self(4);

    const NAMES: [&str; 16] = [
        "linear general",
        "linear aligned",
        "1D thin1",
        "1D thick",
        "2D thin1",
        "PRT thin1",
        "PRT 2D thin1",
        "2D thick",
        "2D xthick",
        "PRT thick",
        "PRT 2D thick",
        "PRT 3D thin1",
        "3D thin1",
        "3D thick",
        "3D xthick",
        "PRT 3D thick",
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).copied().unwrap_or("reserved")
    }

    /// Are micro tiles gathered in macro tiles, so that the parameters of [`MacroTile`] apply?
    pub const fn is_macro_tiled(self) -> bool {
        matches!(self.0, 4..=8 | 10..=15)
    }
}

const PIPES: [(u8, &str); 14] = [
    (0, "P2"),
    (4, "P4_8x16"),
    (5, "P4_16x16"),
    (6, "P4_16x32"),
    (7, "P4_32x32"),
    (8, "P8_16x16_8x16"),
    (9, "P8_16x32_8x16"),
    (10, "P8_32x32_8x16"),
    (11, "P8_16x32_16x16"),
    (12, "P8_32x32_16x16"),
    (13, "P8_32x32_16x32"),
    (14, "P8_32x64_32x32"),
    (16, "P16_32x32_8x16"),
    (17, "P16_32x32_16x16"),
];

const MICRO: [&str; 5] = ["display", "thin", "depth", "rotated (GFX6: thick)", "thick (GFX7 and later)"];

/// The parameters of macro tiles, as counts and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacroTile {
    /// Bytes after which the samples of a tile are split: 64 to 4096.
    pub split_bytes: u32,
    /// Micro tiles of a bank in x: 1, 2, 4 or 8.
    pub bank_width: u32,
    /// Micro tiles of a bank in y: 1, 2, 4 or 8.
    pub bank_height: u32,
    /// Width of a macro tile over its height: 1, 2, 4 or 8.
    pub aspect: u32,
    /// Banks: 2, 4, 8 or 16.
    pub banks: u32,
}

/// The word itself. Fields hold what the bits hold; [`Gfx6Word::macro_tile`] gives them as counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gfx6Word {
    /// How elements are gathered in tiles. Drivers share only modes 1, 2 and 4.
    pub array_mode: ArrayMode,
    /// How tiles are spread over pipes: a number of `PIPE_CONFIG`, see [`Gfx6Word::pipe_config_name`].
    pub pipe_config: u8,
    /// log2(bytes) − 6.
    pub tile_split: u8,
    /// 0 display (which means scanout), 1 thin, 2 depth, 3 rotated, 4 thick.
    pub micro_tile_mode: u8,
    /// log2.
    pub bank_width: u8,
    /// log2.
    pub bank_height: u8,
    /// log2.
    pub macro_tile_aspect: u8,
    /// log2(banks) − 1.
    pub num_banks: u8,
}

impl Gfx6Word {
    /// The word of a surface. One without macro tiles has NUM_BANKS 3 and the other parameters 0, since writers take the
    /// logarithm of a count that is 0 there (Mesa, `ac_surface_compute_bo_metadata`).
    ///
    /// # Errors
    /// `Invalid`, naming the parameter, for a count that has no logarithm or does not fit, and for macro tile parameters where
    /// the array mode has none, or none where it has them.
    pub fn new(array_mode: ArrayMode, pipe_config: u8, micro_tile_mode: u8, tile: Option<MacroTile>) -> Result<Self> {
        let asked = || {
            Error::new(Stage::Allocate, Kind::Invalid)
                .asked(format!("a tiling word of array mode {}", array_mode.name()))
        };
        let log2 = |name: &'static str, count: u32, above: u32, most: u32| match count.checked_ilog2() {
            Some(log2) if count.is_power_of_two() && (above..=most).contains(&log2) => Ok((log2 - above) as u8),
            _ => Err(asked().found(format!("{name} {count}")).why("it is no power of two in the range of its field")),
        };
        let word = match tile {
            Some(_) if !array_mode.is_macro_tiled() => {
                return Err(asked().why("this array mode has no macro tiles and takes no parameters for them"));
            }
            None if array_mode.is_macro_tiled() => {
                return Err(asked().why("this array mode needs bank width and height, aspect, banks and tile split"));
            }
            Some(tile) => Self {
                array_mode,
                pipe_config,
                tile_split: log2("TILE_SPLIT", tile.split_bytes, 6, 12)?,
                micro_tile_mode,
                bank_width: log2("BANK_WIDTH", tile.bank_width, 0, 3)?,
                bank_height: log2("BANK_HEIGHT", tile.bank_height, 0, 3)?,
                macro_tile_aspect: log2("MACRO_TILE_ASPECT", tile.aspect, 0, 3)?,
                num_banks: log2("NUM_BANKS", tile.banks, 1, 4)?,
            },
            None => Self {
                array_mode,
                pipe_config,
                tile_split: 0,
                micro_tile_mode,
                bank_width: 0,
                bank_height: 0,
                macro_tile_aspect: 0,
                num_banks: 3,
            },
        };
        word.word().map(|_| word)
    }

    pub(super) fn parse(level: Level, raw: u64) -> Result<Self> {
        zero(raw, &[RESERVED], "GFX6 to GFX8")?;
        // Five bits at most, so the cast keeps them all.
        let get = |bits: Bits| bits.get(raw) as u8;
        let word = Self {
            array_mode: ArrayMode(get(ARRAY_MODE)),
            pipe_config: get(PIPE_CONFIG),
            tile_split: get(TILE_SPLIT),
            micro_tile_mode: get(MICRO_TILE_MODE),
            bank_width: get(BANK_WIDTH),
            bank_height: get(BANK_HEIGHT),
            macro_tile_aspect: get(ASPECT),
            num_banks: get(NUM_BANKS),
        };
        if word.array_mode.0 == 5 && level == Level::Gfx6 {
            return Err(malformed(raw, "bits 3:0 ARRAY_MODE are 5 (PRT thin1), which GFX7 introduced"));
        }
        if word.micro_tile_mode == 4 && level == Level::Gfx6 {
            return Err(malformed(
                raw,
                format!("{MICRO_TILE_MODE} are 4 (thick), which GFX7 introduced; GFX6 has it as 3"),
            ));
        }
        match word.wrong() {
            Some(why) => Err(malformed(raw, why)),
            None => Ok(word),
        }
    }

    fn wrong(&self) -> Option<String> {
        if self.pipe_config_name().is_none() {
            return Some(format!("{PIPE_CONFIG} are {}, which no chip has", self.pipe_config));
        }
        if self.tile_split > 6 {
            return Some(format!(
                "{TILE_SPLIT} are {}: 0 to 6 mean 64 to 4096 bytes, and the kernel refuses 7",
                self.tile_split
            ));
        }
        if self.micro_tile_mode > 4 {
            return Some(format!("{MICRO_TILE_MODE} are {}: 0 to 4 are defined", self.micro_tile_mode));
        }
        None
    }

    pub(super) fn word(&self) -> Result<u64> {
        if let Some(why) = self.wrong() {
            return Err(Error::new(Stage::Allocate, Kind::Invalid).asked("a tiling word").why(why));
        }
        let mut raw = 0;
        for (bits, value) in [
            (ARRAY_MODE, self.array_mode.0),
            (PIPE_CONFIG, self.pipe_config),
            (TILE_SPLIT, self.tile_split),
            (MICRO_TILE_MODE, self.micro_tile_mode),
            (BANK_WIDTH, self.bank_width),
            (BANK_HEIGHT, self.bank_height),
            (ASPECT, self.macro_tile_aspect),
            (NUM_BANKS, self.num_banks),
        ] {
            bits.put(&mut raw, u64::from(value))?;
        }
        Ok(raw)
    }

    /// Is it linear, as importers read it: any array mode but 2 and 4?
    pub const fn is_linear(&self) -> bool {
        !matches!(self.array_mode, ArrayMode::TILED_1D_THIN1 | ArrayMode::TILED_2D_THIN1)
    }

    /// The name of the pipe configuration, as the register headers have it.
    pub fn pipe_config_name(&self) -> Option<&'static str> {
        PIPES.iter().find(|(number, _)| *number == self.pipe_config).map(|(_, name)| *name)
    }

    /// Pipes of that configuration.
    pub fn pipes(&self) -> Option<u32> {
        match self.pipe_config {
            0 => Some(2),
            4..=7 => Some(4),
            8..=14 => Some(8),
            16 | 17 => Some(16),
            _ => None,
        }
    }

    /// The parameters of its macro tiles, if its array mode has any.
    pub fn macro_tile(&self) -> Option<MacroTile> {
        let power = |log2: u8| 1_u32.wrapping_shl(u32::from(log2));
        self.array_mode.is_macro_tiled().then(|| MacroTile {
            split_bytes: power(self.tile_split.saturating_add(6)),
            bank_width: power(self.bank_width),
            bank_height: power(self.bank_height),
            aspect: power(self.macro_tile_aspect),
            banks: power(self.num_banks.saturating_add(1)),
        })
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let Ok(raw) = self.word() else { return Vec::new() };
        let tile = self.macro_tile();
        let counts = |pick: fn(&MacroTile) -> u32, unit: &str| match &tile {
            Some(tile) => format!("{}{unit}", pick(tile)),
            None => String::from("not macro tiled"),
        };
        let micro = MICRO.get(usize::from(self.micro_tile_mode)).copied().unwrap_or_default();
        [
            (ARRAY_MODE, String::from(self.array_mode.name())),
            (PIPE_CONFIG, String::from(self.pipe_config_name().unwrap_or_default())),
            (TILE_SPLIT, counts(|tile| tile.split_bytes, " bytes")),
            (MICRO_TILE_MODE, String::from(micro)),
            (BANK_WIDTH, counts(|tile| tile.bank_width, "")),
            (BANK_HEIGHT, counts(|tile| tile.bank_height, "")),
            (ASPECT, counts(|tile| tile.aspect, "")),
            (NUM_BANKS, counts(|tile| tile.banks, " banks")),
        ]
        .into_iter()
        .map(|(bits, meaning)| bits.show(Place::Word, raw, meaning))
        .collect()
    }
}
