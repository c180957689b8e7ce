//! The order of address bits: which coordinate bits each bit of an address is the parity of.

use core::fmt;

/// The most address bits above the element: a block of 256 KiB with elements of one byte.
pub(super) const MOST: usize = 18;

/// One bit of an address: the parity of some bits of the column, some of the row, and a constant.
///
/// ```
/// use handover_model::layout::tiling::AddressBit;
/// let bit = AddressBit { x: 1 << 3, y: 1 << 4, inverted: false };
/// assert_eq!(bit.to_string(), "x3^y4");
/// assert!(bit.value(8, 0));
/// assert!(!bit.value(8, 16));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AddressBit {
    /// Mask of the bits of the column (in elements).
    pub x: u16,
    /// Mask of the bits of the row.
    pub y: u16,
    /// Is the parity inverted?
    pub inverted: bool,
}

impl AddressBit {
    /// Bit `index` of the column.
    pub(super) const fn x(index: u32) -> Self {
        Self { x: mask(index), y: 0, inverted: false }
    }

    /// Bit `index` of the row.
    pub(super) const fn y(index: u32) -> Self {
        Self { x: 0, y: mask(index), inverted: false }
    }

    /// Both together.
    pub(super) const fn xor(self, other: Self) -> Self {
        Self { x: self.x ^ other.x, y: self.y ^ other.y, inverted: self.inverted != other.inverted }
    }

    /// The bit in the address of this element.
    pub const fn value(self, x: u32, y: u32) -> bool {
        let ones = (x & self.x as u32).count_ones() + (y & self.y as u32).count_ones();
        (ones % 2 == 1) != self.inverted
    }
}

const fn mask(index: u32) -> u16 {
    match 1u16.checked_shl(index) {
        Some(mask) => mask,
        None => 0,
    }
}

impl fmt::Display for AddressBit {
    /// The terms joined by `^`: "x3^y4"; an inverted bit begins with "1".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        if self.inverted {
            f.write_str("1")?;
            gap = "^";
        }
        for (letter, mask) in [("x", self.x), ("y", self.y)] {
            for index in (0..u16::BITS).filter(|index| mask & (1 << index) != 0) {
                write!(f, "{gap}{letter}{index}")?;
                gap = "^";
            }
        }
        if gap.is_empty() { f.write_str("0") } else { Ok(()) }
    }
}

/// Address bits from the lowest up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    bits: [AddressBit; MOST],
    count: usize,
}

impl Order {
    /// No bits yet.
    pub(super) const EMPTY: Self = Self { bits: [AddressBit { x: 0, y: 0, inverted: false }; MOST], count: 0 };

    /// The order that this text lists, as documents do: terms joined by `^`, bits from the lowest up, blanks between. Made for
    /// tables in this crate: it runs when the crate is compiled, and what it does not know it passes over.
    pub(super) const fn of(text: &str) -> Self {
        let mut order = Self::EMPTY;
        let mut bit = AddressBit { x: 0, y: 0, inverted: false };
        let mut rest = text.as_bytes();
        while let [letter, after @ ..] = rest {
            rest = after;
            let mut index = 0;
            if matches!(*letter, b'x' | b'y') {
                while let [digit @ b'0'..=b'9', after @ ..] = rest {
                    index = index * 10 + (*digit - b'0') as u32;
                    rest = after;
                }
            }
            match *letter {
                b'x' => bit = bit.xor(AddressBit::x(index)),
                b'y' => bit = bit.xor(AddressBit::y(index)),
                b'1' => bit.inverted = !bit.inverted,
                b' ' => {
                    order = order.then(bit);
                    bit = AddressBit { x: 0, y: 0, inverted: false };
                }
                _ => {}
            }
        }
        order.then(bit)
    }

    /// One more bit on top.
    pub(super) const fn then(mut self, bit: AddressBit) -> Self {
        if self.count < MOST {
            self.bits[self.count] = bit;
            self.count += 1;
        }
        self
    }

    /// These column bits, each an address bit.
    pub(super) fn columns(self, indices: core::ops::Range<u32>) -> Self {
        indices.fold(self, |order, index| order.then(AddressBit::x(index)))
    }

    /// These row bits, each an address bit.
    pub(super) fn rows(self, indices: core::ops::Range<u32>) -> Self {
        indices.fold(self, |order, index| order.then(AddressBit::y(index)))
    }

    /// The bits, the lowest first.
    pub(super) fn bits(&self) -> &[AddressBit] {
        self.bits.get(..self.count).unwrap_or(&self.bits)
    }

    /// The bits, to change.
    pub(super) fn bits_mut(&mut self) -> &mut [AddressBit] {
        match self.bits.get_mut(..self.count) {
            Some(bits) => bits,
            None => &mut [],
        }
    }

    /// An order over the bytes of a row, for elements of 2^`bytes_log2` bytes: the bits below the element go, and the
    /// others count elements.
    pub(super) fn of_bytes(self, bytes_log2: u32) -> Self {
        self.bits().iter().skip(bytes_log2 as usize).fold(Self::EMPTY, |order, bit| {
            order.then(AddressBit { x: bit.x.checked_shr(bytes_log2).unwrap_or(0), ..*bit })
        })
    }
}
