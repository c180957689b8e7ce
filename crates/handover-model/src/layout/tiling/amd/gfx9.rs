//! The standard and display orders of GFX9, and pipes and banks mixed into them by a closed form.
//!
//! The form was checked against addrlib on all orders of the GFX9 chips (`tests/data/tiling/amd-equations.jsonl`).

use crate::layout::tiling::order::{AddressBit, Order};
use crate::modifier::amd::Tile;

/// Address bits below this are ordered inside 256 bytes, by the size of an element; those above take rows and columns in turn.
const MICRO_LOG2: u32 = 8;

const STANDARD: [Order; 4] = [
    Order::of("x0 x1 x2 x3 y0 y1 y2 y3"),
    Order::of("x0 x1 x2 y0 y1 y2 x3"),
    Order::of("x0 x1 y0 y1 y2 x2"),
    Order::of("x0 y0 y1 x1 x2"),
];

const DISPLAY: [Order; 4] = [
    Order::of("x0 x1 x2 y1 y0 y2 x3 y3"),
    Order::of("x0 x1 x2 y0 y1 y2 x3"),
    Order::of("x0 x1 y0 x2 y1 y2"),
    Order::of("x0 y0 x1 x2 y1"),
];

/// The display order of GFX11, and the only one of GFX12.
const STANDARD_2D: [Order; 4] = [
    Order::of("x0 x1 y0 x2 y1 y2 x3 y3"),
    Order::of("x0 y0 x1 y1 x2 y2 x3"),
    Order::of("x0 y0 x1 y1 x2 y2"),
    Order::of("x0 y0 x1 x2 y1"),
];

/// The order of a block of 2^`block_log2` bytes, with pipes and banks mixed in where the swizzle mode says so.
pub(super) fn order(tile: Tile, block_log2: u32, bytes_log2: u32, pipes: u32, banks: u32) -> Option<Order> {
    let micro = match tile {
        Tile::Sw64KS | Tile::Sw64KSX => &STANDARD,
        Tile::Sw64KD | Tile::Sw64KDX | Tile::Sw4KDX => &DISPLAY,
        _ => return None,
    };
    let mut order = in_turn(micro, block_log2, bytes_log2);
    if !tile.is_xor() {
        return Some(order);
    }
    // Each mixed bit takes one from further up, the farthest first; the order there goes on beyond the block.
    let beyond = AddressBits { micro, bytes_log2 };
    let pipes = pipes.min(block_log2 - MICRO_LOG2);
    let banks = banks.min(block_log2 - MICRO_LOG2 - pipes);
    let first_bank = MICRO_LOG2 + pipes;
    for (at, from) in (0..pipes)
        .map(|k| (MICRO_LOG2 + k, MICRO_LOG2 + 2 * pipes - 1 - k))
        .chain((0..banks).map(|k| (first_bank + k, first_bank + 2 * banks - 1 - k)))
    {
        if let Some(bit) = order.bits_mut().get_mut((at - bytes_log2) as usize) {
            *bit = bit.xor(beyond.at(from));
        }
    }
    Some(order)
}

/// The order of GFX12 and of the display blocks of GFX11.
pub(super) fn standard_2d(block_log2: u32, bytes_log2: u32) -> Order {
    in_turn(&STANDARD_2D, block_log2, bytes_log2)
}

fn in_turn(micro: &[Order; 4], block_log2: u32, bytes_log2: u32) -> Order {
    let bits = AddressBits { micro, bytes_log2 };
    (bytes_log2..block_log2).fold(Order::EMPTY, |order, bit| order.then(bits.at(bit)))
}

/// The bits of an order that has no end.
struct AddressBits<'a> {
    micro: &'a [Order; 4],
    bytes_log2: u32,
}

impl AddressBits<'_> {
    fn at(&self, bit: u32) -> AddressBit {
        if let Some(above) = bit.checked_sub(MICRO_LOG2) {
            // 256 bytes are 2^(8 - L) elements, square or twice as wide as high; rows come first.
            let elements = MICRO_LOG2 - self.bytes_log2;
            let (width_log2, height_log2) = (elements.div_ceil(2), elements / 2);
            return if above % 2 == 0 {
                AddressBit::y(height_log2 + above / 2)
            } else {
                AddressBit::x(width_log2 + above / 2)
            };
        }
        let index = (bit - self.bytes_log2) as usize;
        self.micro.get(self.bytes_log2 as usize).and_then(|order| order.bits().get(index)).copied().unwrap_or_default()
    }
}
