//! A block: the rectangle of elements that lies in one piece, and the order of its bytes.

use super::order::{AddressBit, Order};
use crate::Elements;

/// A rectangle of elements, each edge a power of two, whose addresses are XOR-linear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Bytes of an element.
    pub(super) bytes_log2: u32,
    /// Elements of a row.
    pub(super) width_log2: u32,
    /// Rows.
    pub(super) height_log2: u32,
    order: Order,
}

impl Block {
    /// A block whose address bits are listed from the first above the element.
    pub(super) const fn new(bytes_log2: u32, width_log2: u32, height_log2: u32, order: Order) -> Self {
        Self { bytes_log2, width_log2, height_log2, order }
    }

    /// A block of 2^`row_log2` bytes by 2^`height_log2` rows, whose order counts bytes.
    pub(super) fn of_bytes(bytes_log2: u32, row_log2: u32, height_log2: u32, order: Order) -> Self {
        Self::new(bytes_log2, row_log2.saturating_sub(bytes_log2), height_log2, order.of_bytes(bytes_log2))
    }

    /// Elements of a row.
    pub(super) const fn width(&self) -> u32 {
        power(self.width_log2)
    }

    /// Rows.
    pub(super) const fn height(&self) -> u32 {
        power(self.height_log2)
    }

    /// Bytes of one row of elements.
    pub(super) const fn row_bytes(&self) -> u32 {
        power(self.width_log2 + self.bytes_log2)
    }

    /// Bytes in all.
    pub(super) const fn bytes(&self) -> u32 {
        power(self.width_log2 + self.height_log2 + self.bytes_log2)
    }

    /// The address bits, from the first above the element.
    pub(super) fn bits(&self) -> &[AddressBit] {
        self.order.bits()
    }

    /// XORs address bits `from` into address bit `to`; all of them above the element.
    pub(super) fn mix(&mut self, to: u32, from: &[u32]) {
        let at = |bit: u32| bit.checked_sub(self.bytes_log2).map(|index| index as usize);
        let bit = |index: &u32| at(*index).and_then(|index| self.bits().get(index)).copied().unwrap_or_default();
        let sum = from.iter().map(bit).fold(AddressBit::default(), AddressBit::xor);
        if let Some(bit) = at(to).and_then(|index| self.order.bits_mut().get_mut(index)) {
            *bit = bit.xor(sum);
        }
    }

    /// What the column gives to the address inside the block.
    pub(super) fn column(&self, x: u32) -> u32 {
        self.gather(|bit| (x & u32::from(bit.x)).count_ones())
    }

    /// What the row and the constant give to the address inside the block.
    pub(super) fn row(&self, y: u32) -> u32 {
        self.gather(|bit| (y & u32::from(bit.y)).count_ones() + u32::from(bit.inverted))
    }

    fn gather(&self, ones: impl Fn(&AddressBit) -> u32) -> u32 {
        let bits = self.bits().iter().rev().fold(0, |address: u32, bit| (address << 1) | (ones(bit) & 1));
        bits << self.bytes_log2
    }

    /// How many elements, aligned to as many, follow each other everywhere: the low column bits that feed one address bit
    /// each, in order, and nothing else.
    pub(super) fn run(&self) -> Elements {
        let straight = |index: &usize| {
            let own = AddressBit::x(*index as u32);
            self.bits().get(*index) == Some(&own)
                && self.bits().iter().enumerate().all(|(at, bit)| at == *index || bit.x & own.x == 0)
        };
        let count = (0..self.width_log2 as usize).take_while(straight).count();
        Elements(power(count as u32))
    }
}

/// 2^`log2`. No block has an edge of more than 2^31; beyond, the greatest number there is.
pub(super) const fn power(log2: u32) -> u32 {
    match 1u32.checked_shl(log2) {
        Some(power) => power,
        None => u32::MAX,
    }
}
