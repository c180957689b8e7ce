//! The metadata of AMDGPU: the tiling word and the block, written and read as Mesa, PAL and the kernel do.
//!
//! # Contract
//!
//! 1. The word does not say its generation, and the block does not say its level: both follow from the device that owns the buffer
//!    ([`Level`]), which the PCI ID of the block names ([`Chip`]). An unknown ID stays unknown.
//! 2. [`TilingWord`] and [`Description`] are typed: what their level does not define is refused, naming the bits. Writers write
//!    version 1.
//! 3. On the device that wrote it, [`read()`] decides like Mesa, and checks what Mesa leaves unchecked: DCC lies inside the buffer,
//!    word, block and caller agree. The result is data ([`Reading`]).
//! 4. On another device, [`determine`] says whether the layout is fully determined: by a modifier, or by word and
//!    [`ChipConfig`]. If not, it refuses and names what is missing. A word of 0 with an empty block is *unknown*, never linear: an
//!    import into another amdgpu device yields just that (Linux, `amdgpu_dma_buf.c`).
//! 5. An explicit modifier supersedes the block and the word, see [`to_modifier`] and [`from_modifier`] for how they correspond.
//!
//! No real AMD GPU wrote any of the vectors that the tests compare with: they come from Mesa's own functions on simulated chips.

mod block;
mod chip;
mod codec;
mod config;
mod format;
mod modifier;
mod other;
pub mod pal;
mod read;
mod swizzle;
mod tiles;
mod word;

pub use block::{Dcc, Description, Descriptor, EXTRA, Extra, HEAD_BYTES, ImageType, OVERRIDDEN};
pub use chip::{Chip, Level, VENDOR};
pub use codec::Amdgpu;
pub use config::ChipConfig;
pub use format::{DstSel, FormatNumbers, TexelFormat};
pub use modifier::{DccPlane, from_modifier, to_modifier};
pub use other::{Determined, Layout, Producer, determine};
pub use read::{Because, Caller, Ignored, Outcome, Reader, Reading, Reject, read};
pub use swizzle::Swizzle;
pub use word::{ArrayMode, BlockSize, Gfx6Word, Gfx9Word, Gfx12Word, MacroTile, TilingWord};
