//! The word of GFX8 ⇄ the parameters of its tiles, which stand for the modifier that this level does not have.
//!
//! The word carries all of them: pipe configuration, banks and their shape, tile split, and the order inside a micro tile (Mesa 25.0.7,
//! `ac_surface.c:ac_surface_compute_bo_metadata` writes what addrlib chose, `ac_surface_apply_bo_metadata` reads it). DRAM banks and ranks do not
//! change addresses.

use alloc::format;

use super::{ArrayMode, Gfx6Word, Level, MacroTile};
use crate::layout::tiling::{self, Gfx8, MicroTile};
use crate::{Bytes, Error, Kind, Result, Stage};

impl Gfx6Word {
    /// The tiles that a word of this level says.
    ///
    /// # Errors
    /// `Unsupported`, naming the field, for what no layout here is: GFX6 and GFX7, whose tiles were compared with no source, an array
    /// mode that drivers do not share, tiles for depth, rotation or three dimensions.
    ///
    /// ```
    /// use handover_model::metadata::amdgpu::{Level, TilingWord};
    /// use handover_model::{Bytes, Word};
    /// let TilingWord::Gfx6(word) = TilingWord::parse(Level::Gfx8, Word(0x0074_06c4))? else { panic!() };
    /// let tiles = word.tiles(Level::Gfx8)?;
    /// assert_eq!((tiles.pipes, tiles.banks, tiles.bank_height, tiles.tile_split), (8, 16, 4, Bytes(512)));
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn tiles(&self, level: Level) -> Result<Gfx8> {
        let refused = |found| Error::new(Stage::Import, Kind::Unsupported).asked("the tiles of a word").found(found);
        if level != Level::Gfx8 {
            return Err(
                refused(format!("tiles of {level}")).why("of the levels without modifiers only GFX8's are known here")
            );
        }
        let array_mode = match self.array_mode {
            ArrayMode::TILED_1D_THIN1 => tiling::ArrayMode::Tiled1D,
            ArrayMode::TILED_2D_THIN1 => tiling::ArrayMode::Tiled2D,
            other => {
                return Err(refused(format!("bits 3:0 ARRAY_MODE {} ({})", other.0, other.name()))
                    .why("drivers share modes 1, 2 and 4 only"));
            }
        };
        let micro_tile = match self.micro_tile_mode {
            0 => MicroTile::Display,
            1 => MicroTile::Thin,
            other => {
                return Err(refused(format!("bits 14:12 MICRO_TILE_MODE {other}"))
                    .why("drivers share 0 (display) and 1 (thin) only; how the others lie is not known here"));
            }
        };
        let Some(pipes) = self.pipes() else {
            return Err(refused(format!("bits 8:4 PIPE_CONFIG {}", self.pipe_config)).why("no chip has it"));
        };
        // One level of tiles has none of the rest.
        let none = MacroTile { split_bytes: 64, bank_width: 1, bank_height: 1, aspect: 1, banks: 2 };
        let tile = self.macro_tile().unwrap_or(none);
        Ok(Gfx8 {
            array_mode,
            micro_tile,
            pipe_config: u32::from(self.pipe_config),
            pipes,
            banks: tile.banks,
            bank_width: tile.bank_width,
            bank_height: tile.bank_height,
            macro_aspect: tile.aspect,
            tile_split: Bytes(u64::from(tile.split_bytes)),
        })
    }

    /// The word of a surface in these tiles: the reverse of [`tiles`](Self::tiles).
    ///
    /// # Errors
    /// Those of [`Gfx6Word::new`].
    pub fn of_tiles(tiles: &Gfx8) -> Result<Self> {
        let micro = match tiles.micro_tile {
            MicroTile::Display => 0,
            MicroTile::Thin => 1,
        };
        let (mode, tile) = match tiles.array_mode {
            tiling::ArrayMode::Tiled1D => (ArrayMode::TILED_1D_THIN1, None),
            tiling::ArrayMode::Tiled2D => {
                let tile = MacroTile {
                    // What does not fit is refused as no split at all would be.
                    split_bytes: u32::try_from(tiles.tile_split.get()).unwrap_or_default(),
                    bank_width: tiles.bank_width,
                    bank_height: tiles.bank_height,
                    aspect: tiles.macro_aspect,
                    banks: tiles.banks,
                };
                (ArrayMode::TILED_2D_THIN1, Some(tile))
            }
        };
        // So is a number that no chip has.
        Self::new(mode, u8::try_from(tiles.pipe_config).unwrap_or(u8::MAX), micro, tile)
    }
}
