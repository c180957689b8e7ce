//! Chip configuration: what the register GB_ADDR_CONFIG says about how a chip spreads memory over its pipes and banks.
//!
//! From GFX9 on, one swizzle mode means different addresses on differently configured chips. The PCI ID gives the configuration
//! for the few chips whose kernel driver takes it from a constant; elsewhere it is read from the chip, and harvested variants
//! with one ID differ.

use alloc::format;

use super::{Chip, Level};
use crate::metadata::field::Bits;
use crate::{Error, Kind, Result, Stage};

const NUM_PIPES: Bits = Bits::new("NUM_PIPES", 2, 0);
const PIPE_INTERLEAVE: Bits = Bits::new("PIPE_INTERLEAVE_SIZE", 5, 3);
const MAX_FRAGS: Bits = Bits::new("MAX_COMPRESSED_FRAGS", 7, 6);
const NUM_PKRS: Bits = Bits::new("NUM_PKRS", 10, 8);
const NUM_BANKS: Bits = Bits::new("NUM_BANKS", 14, 12);
const NUM_ENGINES: Bits = Bits::new("NUM_SHADER_ENGINES", 20, 19);
const NUM_RBS: Bits = Bits::new("NUM_RB_PER_SE", 27, 26);

/// The chips whose configuration the kernel takes from a constant, never from the chip (Linux 6.12,
/// `gfx_v9_0.c:gfx_v9_0_gpu_early_init`, `gfx_v10_0.c:gfx_v10_0_gpu_early_init`).
const CONSTANT: &[(&str, u32)] = &[("Vega10", 0x2a11_4042), ("Vega12", 0x2410_4041), ("Cyan Skillfish", 0x0010_0044)];

/// How to get the register of a chip that one has.
const HOW: &str =
    "the producer's GB_ADDR_CONFIG (AMDGPU_INFO, query READ_MMR_REG, dword 0x263e, on the producer's device)";

/// GB_ADDR_CONFIG of GFX9 and later, as far as layouts depend on it. All counts are logarithms to base 2.
///
/// ```
/// use handover_model::metadata::amdgpu::{ChipConfig, Level};
/// let navi21 = ChipConfig::parse(Level::Gfx10_3, 0x444)?;
/// assert_eq!((navi21.pipes, navi21.packers, navi21.pipe_interleave_bytes()), (4, 4, 256));
/// let refused = ChipConfig::of_pci(0x73bf).unwrap_err();
/// assert!(refused.to_string().contains("GB_ADDR_CONFIG"));
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChipConfig {
    /// The level whose register this is.
    pub level: Level,
    /// Pipes.
    pub pipes: u8,
    /// Bytes that go to one pipe in a row, above 256.
    pub pipe_interleave: u8,
    /// Fragments that a compressed pixel may have.
    pub max_compressed_frags: u8,
    /// Packers; GFX10.3 and later, else 0.
    pub packers: u8,
    /// Banks; GFX9, else 0.
    pub banks: u8,
    /// Shader engines; GFX9 to GFX11.5, else 0.
    pub shader_engines: u8,
    /// Render backends of a shader engine.
    pub rbs_per_engine: u8,
}

impl ChipConfig {
    /// What a register value says.
    ///
    /// # Errors
    /// `Unsupported` before GFX9, where layouts follow the word's own tile parameters.
    pub fn parse(level: Level, register: u32) -> Result<Self> {
        if level < Level::Gfx9 {
            return Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked(format!("GB_ADDR_CONFIG {register:#010x} of {level}"))
                .why("before GFX9 the tiling word carries the tile parameters itself"));
        }
        // Three bits at most, so the cast keeps them all.
        let get = |bits: Bits| bits.get(u64::from(register)) as u8;
        let when = |holds: bool, bits: Bits| if holds { get(bits) } else { 0 };
        Ok(Self {
            level,
            pipes: get(NUM_PIPES),
            pipe_interleave: get(PIPE_INTERLEAVE),
            max_compressed_frags: get(MAX_FRAGS),
            packers: when(level >= Level::Gfx10_3, NUM_PKRS),
            banks: when(level == Level::Gfx9, NUM_BANKS),
            shader_engines: when(level < Level::Gfx12, NUM_ENGINES),
            rbs_per_engine: get(NUM_RBS),
        })
    }

    /// The register, as far as layouts depend on it.
    pub fn register(&self) -> u32 {
        let mut raw = 0;
        for (bits, value) in [
            (NUM_PIPES, self.pipes),
            (PIPE_INTERLEAVE, self.pipe_interleave),
            (MAX_FRAGS, self.max_compressed_frags),
            (NUM_PKRS, self.packers),
            (NUM_BANKS, self.banks),
            (NUM_ENGINES, self.shader_engines),
            (NUM_RBS, self.rbs_per_engine),
        ] {
            // A value that is masked always fits.
            let _ = bits.put(&mut raw, u64::from(value) & bits.max());
        }
        // Every field lies below bit 32, so the cast keeps all of them.
        raw as u32
    }

    /// The configuration that this PCI ID gives for certain.
    ///
    /// # Errors
    /// `Unsupported`, naming GB_ADDR_CONFIG as what is missing, where the ID does not give it.
    pub fn of_pci(pci_id: u16) -> Result<Self> {
        let refused =
            || Error::new(Stage::Import, Kind::Unsupported).asked(format!("the configuration of {pci_id:#06x}"));
        let Some(chip) = Chip::of(pci_id) else {
            return Err(refused().why("no chip with this PCI ID is known").help(HOW));
        };
        match CONSTANT.iter().find(|(name, _)| *name == chip.name) {
            Some((_, register)) => Self::parse(chip.level, *register),
            None => Err(refused()
                .found(format!("{chip}"))
                .why("GB_ADDR_CONFIG is missing: chips of this name with different ones share PCI IDs")
                .help(HOW)),
        }
    }

    /// Bytes that go to one pipe in a row.
    pub const fn pipe_interleave_bytes(self) -> u32 {
        256_u32.wrapping_shl(self.pipe_interleave as u32)
    }

    /// Render backends of the chip, as a logarithm.
    pub const fn rbs(self) -> u8 {
        self.shader_engines.saturating_add(self.rbs_per_engine)
    }
}
