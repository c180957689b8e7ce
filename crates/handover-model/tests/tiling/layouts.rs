//! One of each layout that the library knows, with parameters of real chips.

use handover_model::layout::tiling::{ArrayMode, Gfx8, MicroTile, Parameters, Plane, Qualcomm, SupertileOrder, Tiling};
use handover_model::{Bytes, Modifier};

pub(crate) const TONGA: Gfx8 = Gfx8 {
    array_mode: ArrayMode::Tiled2D,
    micro_tile: MicroTile::Thin,
    pipe_config: 12,
    pipes: 8,
    banks: 16,
    bank_width: 1,
    bank_height: 4,
    macro_aspect: 4,
    tile_split: Bytes(4096),
};

pub(crate) const ADRENO: Qualcomm = Qualcomm { highest_bank_bit: 13, bank_swizzle_levels: 7, macrotile_channels: 8 };

/// Every parameter given.
pub(crate) fn known() -> Parameters {
    Parameters {
        amd_gfx8: Some(TONGA),
        qualcomm: Some(ADRENO),
        vivante_supertile: Some(SupertileOrder::TwoByFour),
        intel_bit6: None,
        plane: Some(Plane::Luma),
        sand_first_row: None,
    }
}

/// One modifier of every layout there is, at least.
pub(crate) fn modifiers() -> Vec<Modifier> {
    let mut all: Vec<u64> = (1..=17).map(|layout| 0x0100_0000_0000_0000 | layout).collect();
    // GFX9, then GFX10 and GFX11 with each count of pipes and packers, then GFX12.
    for tile in [0x09, 0x0a] {
        all.push(0x0200_0000_0000_0001 | tile << 8);
    }
    for (pipes, banks) in [0, 1, 2, 4, 7].into_iter().flat_map(|pipes| [0, 1, 4, 7].map(|banks| (pipes, banks))) {
        for tile in [0x16, 0x19, 0x1a] {
            all.push(0x0200_0000_0000_0001 | tile << 8 | pipes << 21 | banks << 24);
        }
    }
    for (version, tile) in [(2, 0x09), (2, 0x0a), (2, 0x1b), (3, 0x1b), (4, 0x0a), (4, 0x1b), (4, 0x1f)] {
        for (pipes, packers) in (0..6).flat_map(|pipes| (0..6).map(move |packers| (pipes, packers))) {
            all.push(0x0200_0000_0000_0000 | version | tile << 8 | pipes << 21 | packers << 27);
        }
    }
    all.extend((1..=4).map(|tile| 0x0200_0000_0000_0005 | tile << 8));
    for height in 0..=5 {
        // Tegra, Fermi, Turing, and Blackwell for 1 and 2 bytes.
        all.extend(
            [0x10, 0x4f_e010, 0x60_6010, 0x420_6010, 0x460_6010].map(|rest| 0x0300_0000_0000_0000 | rest | height),
        );
    }
    all.extend([0x0300_0000_0000_0001, 0x0400_0000_0000_0001, 0x0400_0000_0000_0002, 0x0500_0000_0000_0003]);
    all.extend([0x0600_0000_0000_0001, 0x0600_0000_0000_0002, 0x0700_0000_0000_0001, 0x0700_0000_0000_0006]);
    all.extend((2..=5).map(|sand| 0x0700_0000_0001_0000 | sand));
    all.extend([0x0810_0000_0000_0001, 0x0810_0000_0000_0002, 0x0900_0000_0000_0001]);
    all.extend([0x0b00_0000_0000_0001, 0x0c00_0000_0000_0001, Modifier::INVALID.0]);
    all.into_iter().map(Modifier).collect()
}

const SIZES: [u64; 5] = [1, 2, 4, 8, 16];

/// Every tiling of those modifiers, each parameter in each way that changes addresses.
pub(crate) fn tilings() -> Vec<Tiling> {
    let mut ways = vec![known()];
    ways.push(Parameters { vivante_supertile: Some(SupertileOrder::ZOrder), plane: Some(Plane::Chroma), ..known() });
    ways.push(Parameters { intel_bit6: Some(true), sand_first_row: Some(30), ..known() });
    for (highest_bank_bit, macrotile_channels) in [(14, 4), (15, 8), (16, 4)] {
        let qualcomm = Some(Qualcomm { highest_bank_bit, macrotile_channels, ..ADRENO });
        ways.push(Parameters { qualcomm, ..known() });
    }
    let two = Gfx8 { pipe_config: 0, pipes: 2, banks: 8, bank_height: 4, macro_aspect: 4, ..TONGA };
    for amd_gfx8 in [
        Gfx8 { array_mode: ArrayMode::Tiled1D, ..TONGA },
        Gfx8 { array_mode: ArrayMode::Tiled1D, micro_tile: MicroTile::Display, ..TONGA },
        Gfx8 { micro_tile: MicroTile::Display, ..TONGA },
        Gfx8 { pipe_config: 17, pipes: 16, banks: 8, bank_height: 2, macro_aspect: 2, ..TONGA },
        Gfx8 { pipe_config: 5, pipes: 4, bank_width: 2, bank_height: 2, macro_aspect: 1, ..TONGA },
        Gfx8 { banks: 4, bank_width: 2, bank_height: 2, macro_aspect: 2, ..two },
        Gfx8 { banks: 2, ..Gfx8 { macro_aspect: 1, ..two } },
        two,
    ] {
        ways.push(Parameters { amd_gfx8: Some(amd_gfx8), ..known() });
    }
    let mut tilings: Vec<Tiling> = Vec::new();
    for modifier in modifiers() {
        for (way, bytes) in ways.iter().flat_map(|way| SIZES.map(|bytes| (way, bytes))) {
            if let Ok(tiling) = Tiling::of(modifier, Bytes(bytes), way)
                && !tilings.contains(&tiling)
            {
                tilings.push(tiling);
            }
        }
    }
    tilings
}
