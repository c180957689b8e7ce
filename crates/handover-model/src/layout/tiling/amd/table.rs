//! The orders of `_R_X` blocks on GFX10 and GFX11, for each count of pipes and packers.
//!
//! They follow no short rule, so they stand here as a table. Origin: Mesa 25.0.7 addrlib, probed bit by bit for the chip
//! configurations of Mesa's own modifier test (23 of them, `ac_surface_modifier_test.c`), and proven on 20 000 random elements each, with the
//! addrlib of AMD's PAL as a second opinion. The vectors in `tests/data/tiling/amd-equations.jsonl` hold the same bits.

use crate::layout::tiling::order::Order;
use crate::modifier::amd::{Tile, Version};

/// The orders of one configuration.
struct Orders {
    version: Version,
    tile: Tile,
    /// log2 of the pipes.
    pipes: u32,
    /// log2 of the packers; two where they make no difference.
    packers: [u32; 2],
    /// For elements of 1, 2, 4 and 8 bytes.
    orders: [Order; 4],
}

/// The order of this configuration, if it is known.
pub(super) fn order(version: Version, tile: Tile, pipes: u32, packers: u32, bytes_log2: u32) -> Option<Order> {
    let same = |orders: &&Orders| {
        orders.version == version && orders.tile == tile && orders.pipes == pipes && orders.packers.contains(&packers)
    };
    TABLE.iter().find(same)?.orders.get(bytes_log2 as usize).copied()
}

const fn orders(version: Version, tile: Tile, pipes: u32, packers: [u32; 2], of: [&str; 4]) -> Orders {
    let [one, two, four, eight] = of;
    let orders = [Order::of(one), Order::of(two), Order::of(four), Order::of(eight)];
    Orders { version, tile, pipes, packers, orders }
}

static TABLE: &[Orders] = &[
    orders(
        Version::Gfx10,
        Tile::Sw64KRX,
        4,
        [0, 0],
        [
            "x0 x1 x2 y1 y0 y2 x3 y4 x3^y3 x4^y4 x6^y5 x5^y6 y6 x6 y7 x7",
            "x0 x1 x2 y0 y1 y2 x3 x3^y3 x4^y4 x6^y5 x5^y6 y4 x6 y6 x7",
            "x0 x1 y0 y1 y2 x2 x3^y3 x4^y4 x6^y5 x5^y6 y3 x4 y6 x6",
            "x0 y0 x1 x2 y1 x3^y3 x4^y4 x6^y5 x5^y6 y2 x3 y4 x6",
        ],
    ),
    orders(
        Version::Gfx10,
        Tile::Sw64KRX,
        3,
        [0, 0],
        [
            "x0 x1 x2 y1 y0 y2 x3 y4 x3^y3 x4^y4 x5^y5 x5 y6 x6 y7 x7",
            "x0 x1 x2 y0 y1 y2 x3 x3^y3 x4^y4 x5^y5 x4 y5 x6 y6 x7",
            "x0 x1 y0 y1 y2 x2 x3^y3 x4^y4 x5^y5 x3 y4 x5 y6 x6",
            "x0 y0 x1 x2 y1 x3^y3 x4^y4 x5^y5 x3 y2 x4 y5 x6",
        ],
    ),
    orders(
        Version::Gfx10RbPlus,
        Tile::Sw64KRX,
        4,
        [4, 4],
        [
            "x0 x1 x2 x3 y0 y1 y2 y3 x8^y4^y8 x4^y4 x7^y5 x5^y7 x6 x7 x8^y7 x6^y6",
            "x0 x1 x2 y0 y1 y2 x3 x8^y4^y8 x4^y4 x7^y5 x5^y7 y3 x6 x7^y7 x6^y6",
            "x0 x1 y0 y1 x2 y2 x8^y4^y8 x4^y4 x7^y5 x5^y7 x3 y3 x6^y7 x6^y6",
            "x0 y0 x1 x2 y1 x8^y4^y8 x4^y4 x7^y5 x5^y7 y2 x3 x7^y3 x6^y6",
        ],
    ),
    orders(
        Version::Gfx10RbPlus,
        Tile::Sw64KRX,
        4,
        [3, 3],
        [
            "x0 x1 x2 x3 y0 y1 y2 y3 x7^y4^y7 x4^y4 x6^y5 x5^y6 x6 y6 x7^y8 x8^y7",
            "x0 x1 x2 y0 y1 y2 x3 x7^y4^y7 x4^y4 x6^y5 x5^y6 y3 x6 x7^y7 x8^y6",
            "x0 x1 y0 y1 x2 y2 x7^y4^y7 x4^y4 x6^y5 x5^y6 x3 y3 x6^y7 x7^y6",
            "x0 y0 x1 x2 y1 x7^y4^y7 x4^y4 x6^y5 x5^y6 y2 x3 x7^y3 x6^y6",
        ],
    ),
    orders(
        Version::Gfx10RbPlus,
        Tile::Sw64KRX,
        3,
        [3, 3],
        [
            "x0 x1 x2 x3 y0 y1 y2 y3 x7^y4^y7 x4^y4 x6^y5 x6 y6 x7^y8 x8^y7 x5^y6",
            "x0 x1 x2 y0 y1 y2 x3 x7^y4^y7 x4^y4 x6^y5 y3 x6 x7^y7 x8^y6 x5^y6",
            "x0 x1 y0 y1 x2 y2 x7^y4^y7 x4^y4 x6^y5 x3 y3 x6^y7 x7^y6 x5^y6",
            "x0 y0 x1 x2 y1 x7^y4^y7 x4^y4 x6^y5 y2 x3 x7^y3 x6^y6 x5^y6",
        ],
    ),
    orders(
        Version::Gfx10RbPlus,
        Tile::Sw64KRX,
        2,
        [2, 2],
        [
            "x0 x1 x2 x3 y0 y1 y2 y3 x6^y4^y6 x4^y4 x5 x6 x9^y6 x7^y8 x8^y7 x5^y5",
            "x0 x1 x2 y0 y1 y2 x3 x6^y4^y6 x4^y4 y3 x5 x6^y8 x8^y6 x7^y7 x5^y5",
            "x0 x1 y0 y1 x2 y2 x6^y4^y6 x4^y4 x3 y3 x5^y8 x6^y7 x7^y6 x5^y5",
            "x0 y0 x1 x2 y1 x6^y4^y6 x4^y4 y2 x3 x7^y3 x5^y7 x6^y6 x5^y5",
        ],
    ),
    orders(
        Version::Gfx10RbPlus,
        Tile::Sw64KRX,
        2,
        [0, 1],
        [
            "x0 x1 x2 x3 y0 y1 y2 y3 x5^y4^y5 x4^y4 x5 y5 x6^y9 x9^y6 x7^y8 x8^y7",
            "x0 x1 x2 y0 y1 y2 x3 x5^y4^y5 x4^y4 y3 x5 x6^y8 x9^y5 x7^y7 x8^y6",
            "x0 x1 y0 y1 x2 y2 x5^y4^y5 x4^y4 x3 y3 x5^y8 x8^y5 x6^y7 x7^y6",
            "x0 y0 x1 x2 y1 x5^y4^y5 x4^y4 y2 x3 x8^y3 x5^y7 x6^y6 x7^y5",
        ],
    ),
    orders(
        Version::Gfx10RbPlus,
        Tile::Sw64KRX,
        1,
        [0, 0],
        [
            "x0 x1 x2 x3 y0 y1 y2 y3 x4^y4 y4 x5 x10^y5 x6^y9 x9^y6 x7^y8 x8^y7",
            "x0 x1 x2 y0 y1 y2 x3 x4^y4 y3 y4 x5^y9 x6^y8 x9^y5 x7^y7 x8^y6",
            "x0 x1 y0 y1 x2 y2 x4^y4 x3 y3 x9^y4 x5^y8 x8^y5 x6^y7 x7^y6",
            "x0 y0 x1 x2 y1 x4^y4 y2 x3 x9^y3 x5^y7 x8^y4 x6^y6 x7^y5",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw256KRX,
        5,
        [5, 5],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x9^y4^y9 x4^y4 x8^y5 x5^y8 x7^y6 x7 y7 x8^y9 x9^y8 x6^y7",
            "x0 y0 x1 y1 x2 y2 x3 x9^y4^y9 x4^y4 x8^y5 x5^y8 x7^y6 y3 x7 x8^y8 x9^y7 x6^y7",
            "x0 y0 x1 y1 x2 y2 x9^y4^y9 x4^y4 x8^y5 x5^y8 x7^y6 x3 y3 x7^y8 x8^y7 x6^y7",
            "x0 y0 x1 x2 y1 x9^y4^y9 x4^y4 x8^y5 x5^y8 x7^y6 y2 x3 x8^y3 x7^y7 x6^y7",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw256KRX,
        4,
        [4, 4],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x8^y4^y8 x4^y4 x7^y5 x5^y7 x6 x7 x10^y7 x8^y9 x9^y8 x6^y6",
            "x0 y0 x1 y1 x2 y2 x3 x8^y4^y8 x4^y4 x7^y5 x5^y7 y3 x6 x7^y9 x9^y7 x8^y8 x6^y6",
            "x0 y0 x1 y1 x2 y2 x8^y4^y8 x4^y4 x7^y5 x5^y7 x3 y3 x6^y9 x7^y8 x8^y7 x6^y6",
            "x0 y0 x1 x2 y1 x8^y4^y8 x4^y4 x7^y5 x5^y7 y2 x3 x8^y3 x6^y8 x7^y7 x6^y6",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw256KRX,
        3,
        [3, 3],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x7^y4^y7 x4^y4 x6^y5 x6 y6 x7^y10 x10^y7 x8^y9 x9^y8 x5^y6",
            "x0 y0 x1 y1 x2 y2 x3 x7^y4^y7 x4^y4 x6^y5 y3 x6 x7^y9 x10^y6 x8^y8 x9^y7 x5^y6",
            "x0 y0 x1 y1 x2 y2 x7^y4^y7 x4^y4 x6^y5 x3 y3 x6^y9 x9^y6 x7^y8 x8^y7 x5^y6",
            "x0 y0 x1 x2 y1 x7^y4^y7 x4^y4 x6^y5 y2 x3 x9^y3 x6^y8 x7^y7 x8^y6 x5^y6",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw256KRX,
        2,
        [2, 2],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x6^y4^y6 x4^y4 x5 x6 x10^y6 x7^y9 x9^y7 x8^y8 y8 x5^y5",
            "x0 y0 x1 y1 x2 y2 x3 x6^y4^y6 x4^y4 y3 x5 x6^y9 x9^y6 x7^y8 x8^y7 x8 x5^y5",
            "x0 y0 x1 y1 x2 y2 x6^y4^y6 x4^y4 x3 y3 x5^y9 x6^y8 x8^y6 x7^y7 y7 x5^y5",
            "x0 y0 x1 x2 y1 x6^y4^y6 x4^y4 y2 x3 x8^y3 x5^y8 x6^y7 x7^y6 x7 x5^y5",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw256KRX,
        2,
        [0, 1],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x5^y4^y5 x4^y4 x5 y5 x6^y9 x9^y6 x7^y8 x8^y7 x8 y8",
            "x0 y0 x1 y1 x2 y2 x3 x5^y4^y5 x4^y4 y3 x5 x6^y8 x9^y5 x7^y7 x8^y6 x8 y7",
            "x0 y0 x1 y1 x2 y2 x5^y4^y5 x4^y4 x3 y3 x5^y8 x8^y5 x6^y7 x7^y6 x7 y7",
            "x0 y0 x1 x2 y1 x5^y4^y5 x4^y4 y2 x3 x8^y3 x5^y7 x6^y6 x7^y5 x7 y6",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw256KRX,
        1,
        [0, 0],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x4^y4 y4 x5 x9^y5 x6^y8 x8^y6 x7^y7 y7 x8 y8",
            "x0 y0 x1 y1 x2 y2 x3 x4^y4 y3 y4 x5^y8 x6^y7 x8^y5 x7^y6 y6 x8 y7",
            "x0 y0 x1 y1 x2 y2 x4^y4 x3 y3 x8^y4 x5^y7 x7^y5 x6^y6 y6 x7 y7",
            "x0 y0 x1 x2 y1 x4^y4 y2 x3 x8^y3 x5^y7 x7^y4 x6^y6 y5 x7 y6",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw64KRX,
        5,
        [5, 5],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x9^y4^y9 x4^y4 x8^y5 x5^y8 x7^y6 x7 y7 x6^y7",
            "x0 y0 x1 y1 x2 y2 x3 x9^y4^y9 x4^y4 x8^y5 x5^y8 x7^y6 y3 x7 x6^y7",
            "x0 y0 x1 y1 x2 y2 x9^y4^y9 x4^y4 x8^y5 x5^y8 x7^y6 x3 y3 x6^y7",
            "x0 y0 x1 x2 y1 x9^y4^y9 x4^y4 x8^y5 x5^y8 x7^y2^y6 x3 y3 x6^y7",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw64KRX,
        4,
        [4, 4],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x8^y4^y8 x4^y4 x7^y5 x5^y7 x6 x7 x8^y7 x6^y6",
            "x0 y0 x1 y1 x2 y2 x3 x8^y4^y8 x4^y4 x7^y5 x5^y7 y3 x6 x7^y7 x6^y6",
            "x0 y0 x1 y1 x2 y2 x8^y4^y8 x4^y4 x7^y5 x5^y7 x3 y3 x6^y7 x6^y6",
            "x0 y0 x1 x2 y1 x8^y4^y8 x4^y4 x7^y5 x5^y7 y2 x3 x7^y3 x6^y6",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw64KRX,
        3,
        [3, 3],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x7^y4^y7 x4^y4 x6^y5 x6 y6 x7^y8 x8^y7 x5^y6",
            "x0 y0 x1 y1 x2 y2 x3 x7^y4^y7 x4^y4 x6^y5 y3 x6 x7^y7 x8^y6 x5^y6",
            "x0 y0 x1 y1 x2 y2 x7^y4^y7 x4^y4 x6^y5 x3 y3 x6^y7 x7^y6 x5^y6",
            "x0 y0 x1 x2 y1 x7^y4^y7 x4^y4 x6^y5 y2 x3 x7^y3 x6^y6 x5^y6",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw64KRX,
        2,
        [2, 2],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x6^y4^y6 x4^y4 x5 x6 x9^y6 x7^y8 x8^y7 x5^y5",
            "x0 y0 x1 y1 x2 y2 x3 x6^y4^y6 x4^y4 y3 x5 x6^y8 x8^y6 x7^y7 x5^y5",
            "x0 y0 x1 y1 x2 y2 x6^y4^y6 x4^y4 x3 y3 x5^y8 x6^y7 x7^y6 x5^y5",
            "x0 y0 x1 x2 y1 x6^y4^y6 x4^y4 y2 x3 x7^y3 x5^y7 x6^y6 x5^y5",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw64KRX,
        2,
        [0, 1],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x5^y4^y5 x4^y4 x5 y5 x6^y9 x9^y6 x7^y8 x8^y7",
            "x0 y0 x1 y1 x2 y2 x3 x5^y4^y5 x4^y4 y3 x5 x6^y8 x9^y5 x7^y7 x8^y6",
            "x0 y0 x1 y1 x2 y2 x5^y4^y5 x4^y4 x3 y3 x5^y8 x8^y5 x6^y7 x7^y6",
            "x0 y0 x1 x2 y1 x5^y4^y5 x4^y4 y2 x3 x8^y3 x5^y7 x6^y6 x7^y5",
        ],
    ),
    orders(
        Version::Gfx11,
        Tile::Sw64KRX,
        1,
        [0, 0],
        [
            "x0 x1 y0 x2 y1 y2 x3 y3 x4^y4 y4 x5 x9^y5 x6^y8 x8^y6 x7^y7 y7",
            "x0 y0 x1 y1 x2 y2 x3 x4^y4 y3 y4 x5^y8 x6^y7 x8^y5 x7^y6 y6",
            "x0 y0 x1 y1 x2 y2 x4^y4 x3 y3 x8^y4 x5^y7 x7^y5 x6^y6 y6",
            "x0 y0 x1 x2 y1 x4^y4 y2 x3 x8^y3 x5^y7 x7^y4 x6^y6 y5",
        ],
    ),
];
