//! Intel: X, Y, Yf and Tile 4, plain or with colour control surfaces (`I915_FORMAT_MOD_*`).

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

codes! {
    /// A layout of Intel's GPUs (source: `drm_fourcc.h`, "Intel framebuffer modifiers").
    ///
    /// On machines before gen 8 the memory controller may also swap bit 6, which no modifier says.
    Intel {
        /// `X_TILED`: tiles of 512 bytes × 8 rows.
        XTiled = 1,
        /// `Y_TILED`: tiles of 128 bytes × 32 rows, in columns of 16 bytes.
        YTiled = 2,
        /// `Yf_TILED`: tiles of 4 KiB whose shape follows the size of a pixel (gen 9).
        YfTiled = 3,
        /// `Y_TILED_CCS`: Y tiles, render compression of gen 9.
        YTiledCcs = 4,
        /// `Yf_TILED_CCS`: Yf tiles, render compression of gen 9.
        YfTiledCcs = 5,
        /// `Y_TILED_GEN12_RC_CCS`: Y tiles, render compression of gen 12.
        YTiledGen12RcCcs = 6,
        /// `Y_TILED_GEN12_MC_CCS`: Y tiles, media compression of gen 12.
        YTiledGen12McCcs = 7,
        /// `Y_TILED_GEN12_RC_CCS_CC`: Y tiles, render compression of gen 12 with a plane for the clear colour.
        YTiledGen12RcCcsCc = 8,
        /// `4_TILED`: tiles of 128 bytes × 32 rows, in blocks of 64 bytes × 8 rows.
        Tile4 = 9,
        /// `4_TILED_DG2_RC_CCS`: Tile 4, render compression, the CCS outside the buffer.
        Tile4Dg2RcCcs = 10,
        /// `4_TILED_DG2_MC_CCS`: Tile 4, media compression, the CCS outside the buffer.
        Tile4Dg2McCcs = 11,
        /// `4_TILED_DG2_RC_CCS_CC`: Tile 4, render compression with a plane for the clear colour.
        Tile4Dg2RcCcsCc = 12,
        /// `4_TILED_MTL_RC_CCS`: Tile 4, render compression of display version 14.
        Tile4MtlRcCcs = 13,
        /// `4_TILED_MTL_MC_CCS`: Tile 4, media compression of display version 14.
        Tile4MtlMcCcs = 14,
        /// `4_TILED_MTL_RC_CCS_CC`: Tile 4, render compression of display version 14 with a plane for the clear colour.
        Tile4MtlRcCcsCc = 15,
        /// `4_TILED_LNL_CCS`: Tile 4, the one compression of graphics version 20, integrated.
        Tile4LnlCcs = 16,
        /// `4_TILED_BMG_CCS`: Tile 4, the one compression of graphics version 20, discrete.
        Tile4BmgCcs = 17,
    }
}

codes! {
    /// How the main surface lies, whatever is compressed in it.
    Tiling {
        /// X.
        X = 1,
        /// Y.
        Y = 2,
        /// Yf.
        Yf = 3,
        /// Tile 4.
        Four = 9,
    }
}

const LAYOUT: BitField = BitField::new("LAYOUT", 55, 0);
pub(super) const FIELDS: &[BitField] = &[LAYOUT];

pub(super) const WORDS: &[Word] = &[
    Word::of(&["X_TILED"], LAYOUT, 1),
    Word::of(&["Y_TILED"], LAYOUT, 2),
    Word::of(&["Yf_TILED"], LAYOUT, 3),
    Word::of(&["Y_TILED_CCS"], LAYOUT, 4),
    Word::of(&["Yf_TILED_CCS"], LAYOUT, 5),
    Word::of(&["Y_TILED_GEN12_RC_CCS"], LAYOUT, 6),
    Word::of(&["Y_TILED_GEN12_MC_CCS"], LAYOUT, 7),
    Word::of(&["Y_TILED_GEN12_RC_CCS_CC"], LAYOUT, 8),
    Word::of(&["4_TILED"], LAYOUT, 9),
    Word::of(&["4_TILED_DG2_RC_CCS"], LAYOUT, 10),
    Word::of(&["4_TILED_DG2_MC_CCS"], LAYOUT, 11),
    Word::of(&["4_TILED_DG2_RC_CCS_CC"], LAYOUT, 12),
    Word::of(&["4_TILED_MTL_RC_CCS"], LAYOUT, 13),
    Word::of(&["4_TILED_MTL_MC_CCS"], LAYOUT, 14),
    Word::of(&["4_TILED_MTL_RC_CCS_CC"], LAYOUT, 15),
    Word::of(&["4_TILED_LNL_CCS"], LAYOUT, 16),
    Word::of(&["4_TILED_BMG_CCS"], LAYOUT, 17),
];

impl Intel {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        LAYOUT.code(modifier, Self::from_code, "Intel has layouts 1 to 17")
    }

    /// The tiles of the main surface.
    ///
    /// ```
    /// use handover_model::modifier::intel::{Intel, Tiling};
    /// assert_eq!(Intel::YTiledGen12RcCcs.tiling(), Tiling::Y);
    /// ```
    pub const fn tiling(self) -> Tiling {
        match self {
            Self::XTiled => Tiling::X,
            Self::YTiled | Self::YTiledCcs => Tiling::Y,
            Self::YTiledGen12RcCcs | Self::YTiledGen12McCcs | Self::YTiledGen12RcCcsCc => Tiling::Y,
            Self::YfTiled | Self::YfTiledCcs => Tiling::Yf,
            _ => Tiling::Four,
        }
    }

    /// Has it a colour control surface, in the buffer or outside?
    pub const fn is_compressed(self) -> bool {
        !matches!(self, Self::XTiled | Self::YTiled | Self::YfTiled | Self::Tile4)
    }
}
