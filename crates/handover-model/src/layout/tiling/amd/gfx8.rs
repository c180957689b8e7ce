//! GFX8: micro tiles, spread over pipes and banks or not. There is no modifier; the tiling word of a buffer and the tile tables of
//! the chip give the parameters.
//!
//! Origin: Mesa 25.0.7 addrlib (`egbaddrlib.cpp`, `siaddrlib.cpp`); the orders of five chips are in
//! `tests/data/tiling/amd-equations-gfx8.jsonl`. A micro tile has 8 × 8 elements. In 2D, 256 bytes go to one pipe and bank; above them
//! the address holds the pipe, the bank, and then what is left of the micro tiles of that bank.

use alloc::format;

use crate::layout::tiling::above::{Above, MicroTiles};
use crate::layout::tiling::block::Block;
use crate::layout::tiling::order::{AddressBit, Order};
use crate::layout::tiling::parameters::{ArrayMode, Gfx8, MicroTile};
use crate::layout::tiling::{Tiling, invalid, refuse};
use crate::{Bytes, Result};

/// Bytes that go to one pipe.
const INTERLEAVE_LOG2: u32 = 8;
/// An edge of a micro tile.
const MICRO_LOG2: u32 = 3;

const THIN: Order = Order::of("x0 y0 x1 y1 x2 y2");
const DISPLAY: [Order; 4] = [
    Order::of("x0 x1 x2 y1 y0 y2"),
    Order::of("x0 x1 x2 y0 y1 y2"),
    Order::of("x0 x1 y0 x2 y1 y2"),
    Order::of("x0 y0 x1 x2 y1 y2"),
];

/// The layout of a buffer with these parameters.
pub(in crate::layout::tiling) fn tiling(gfx8: Gfx8, bytes_log2: u32) -> Result<Tiling> {
    let (micro, micro_name) = match gfx8.micro_tile {
        MicroTile::Thin => (THIN, "thin"),
        MicroTile::Display => match DISPLAY.get(bytes_log2 as usize) {
            Some(order) => (*order, "display"),
            None => return Err(refuse("display micro tiles are for elements of 1 to 8 bytes")),
        },
    };
    match gfx8.array_mode {
        ArrayMode::Tiled1D => {
            let block = Block::new(bytes_log2, MICRO_LOG2, MICRO_LOG2, micro);
            let mut tiling = Tiling::rows(format!("AMD GFX8 1D {micro_name}"), block);
            // Scan-out reads 32 elements at a time.
            let elements = if gfx8.micro_tile == MicroTile::Display { 4 } else { 1 };
            tiling.align = 1 << INTERLEAVE_LOG2;
            tiling.above =
                Above::MicroTiles(MicroTiles { stride_unit: tiling.stride_unit * elements, size_unit: tiling.align });
            Ok(tiling)
        }
        ArrayMode::Tiled2D => {
            let macro_tile = MacroTile::of(gfx8, bytes_log2)?;
            Ok(Tiling::rows(format!("AMD GFX8 2D {micro_name}"), macro_tile.block(bytes_log2, micro)))
        }
    }
}

/// The parameters as powers of two.
struct MacroTile {
    pipe_config: u32,
    pipes: u32,
    banks: u32,
    bank_width: u32,
    bank_height: u32,
    aspect: u32,
}

impl MacroTile {
    fn of(gfx8: Gfx8, bytes_log2: u32) -> Result<Self> {
        let log2 = |name: &str, count: u32, most: u32| {
            if count.is_power_of_two() && count <= most {
                return Ok(count.trailing_zeros());
            }
            Err(invalid(format!("amd_gfx8.{name} is a power of two up to {most}")).found(format!("{count}")))
        };
        let macro_tile = Self {
            pipe_config: gfx8.pipe_config,
            pipes: log2("pipes", gfx8.pipes, 16)?,
            banks: log2("banks", gfx8.banks, 16)?,
            bank_width: log2("bank_width", gfx8.bank_width, 8)?,
            bank_height: log2("bank_height", gfx8.bank_height, 8)?,
            aspect: log2("macro_aspect", gfx8.macro_aspect, 8)?,
        };
        let configured = pipe_bits(gfx8.pipe_config).ok_or_else(|| {
            refuse(format!("amd_gfx8.pipe_config {} is not known here: 0, 5, 12 and 17 are", gfx8.pipe_config))
        })?;
        if configured.len() != macro_tile.pipes as usize {
            let (config, pipes) = (gfx8.pipe_config, 1 << configured.len());
            return Err(invalid(format!("amd_gfx8.pipe_config {config} has {pipes} pipes"))
                .found(format!("amd_gfx8.pipes {}", gfx8.pipes)));
        }
        if macro_tile.banks == 0 || macro_tile.aspect > macro_tile.banks {
            return Err(invalid("amd_gfx8.banks is 2 to 16, and macro_aspect at most as many"));
        }
        if gfx8.tile_split < Bytes(1 << (2 * MICRO_LOG2 + bytes_log2)) {
            return Err(refuse("amd_gfx8.tile_split is smaller than a micro tile, which is then split over slices"));
        }
        let bytes_log2 = bytes_log2 + 2 * MICRO_LOG2 + macro_tile.bank_width + macro_tile.bank_height;
        if bytes_log2 < INTERLEAVE_LOG2 {
            return Err(invalid("the micro tiles of a bank (amd_gfx8.bank_width, bank_height) fill 256 bytes"));
        }
        if bytes_log2 + macro_tile.pipes + macro_tile.banks > 18 {
            return Err(refuse("a macro tile of more than 256 KiB is on no chip known here"));
        }
        Ok(macro_tile)
    }

    fn block(&self, bytes_log2: u32, micro: Order) -> Block {
        let first_column = MICRO_LOG2 + self.pipes;
        let in_bank =
            micro.columns(first_column..first_column + self.bank_width).rows(MICRO_LOG2..MICRO_LOG2 + self.bank_height);
        let below = INTERLEAVE_LOG2.saturating_sub(bytes_log2) as usize;
        let spread = pipe_bits(self.pipe_config).unwrap_or_default().iter().copied().chain(self.bank_bits());
        let order =
            in_bank.bits().iter().copied().take(below).chain(spread).chain(in_bank.bits().iter().copied().skip(below));
        let order = order.fold(Order::EMPTY, Order::then);
        let width_log2 = MICRO_LOG2 + self.bank_width + self.pipes + self.aspect;
        let height_log2 = MICRO_LOG2 + self.bank_height + self.banks - self.aspect;
        Block::new(bytes_log2, width_log2, height_log2, order)
    }

    /// Bank bits take column bits upwards and row bits downwards; the second one takes the highest row bit too.
    fn bank_bits(&self) -> impl Iterator<Item = AddressBit> {
        let (banks, column) = (self.banks, MICRO_LOG2 + self.pipes + self.bank_width);
        let row = MICRO_LOG2 + self.bank_height;
        (0..banks).map(move |index| {
            let bit = AddressBit::x(column + index).xor(AddressBit::y(row + banks - 1 - index));
            if index == 1 && banks > 2 { bit.xor(AddressBit::y(row + banks - 1)) } else { bit }
        })
    }
}

const P2: Order = Order::of("x3^y3");
const P4_16X16: Order = Order::of("x3^x4^y3 x4^y4");
const P8_32X32_16X16: Order = Order::of("x3^x4^y3 x4^y4 x5^y5");
const P16_32X32_16X16: Order = Order::of("x3^x4^y3 x4^y4 x5^y6 x6^y5");

/// The pipe bits of a pipe configuration, as the register codes it.
fn pipe_bits(pipe_config: u32) -> Option<&'static [AddressBit]> {
    static ORDERS: [(u32, Order); 4] = [(0, P2), (5, P4_16X16), (12, P8_32X32_16X16), (17, P16_32X32_16X16)];
    ORDERS.iter().find(|(code, _)| *code == pipe_config).map(|(_, order)| order.bits())
}
