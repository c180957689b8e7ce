//! Pixels, bytes and elements: three units that never mix by accident.
//!
//! A stride counted in bits once came out eight times too wide and compiled. Here a conversion exists only where the
//! format is known: [`Format::plane_extent`](crate::Format::plane_extent) turns pixels into elements, and a
//! [`Layout`](crate::Layout) turns elements into bytes.

use alloc::format;
use core::fmt;

use crate::{Error, Kind, Result, Stage};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($int:ty), $label:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0);

            /// The bare number.
            pub const fn get(self) -> $int {
                self.0
            }

            /// Sum, or `None` past the width of the number.
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Difference, or `None` below zero.
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(rest) => Some(Self(rest)),
                    None => None,
                }
            }

            /// `count` times as much, or `None` past the width of the number.
            pub const fn checked_mul(self, count: $int) -> Option<Self> {
                match self.0.checked_mul(count) {
                    Some(product) => Some(Self(product)),
                    None => None,
                }
            }

            /// The next multiple of `alignment` (any, not only powers of two), itself included. `None` past the width
            /// of the number, and for an alignment of zero, which has no multiples to go to.
            pub const fn align_up(self, alignment: Self) -> Option<Self> {
                match self.0.checked_next_multiple_of(alignment.0) {
                    Some(aligned) => Some(Self(aligned)),
                    None => None,
                }
            }

            /// Is it a multiple of `alignment`? Never, for an alignment of zero.
            pub const fn is_aligned(self, alignment: Self) -> bool {
                match self.0.checked_rem(alignment.0) {
                    Some(rest) => rest == 0,
                    None => false,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $label), self.0)
            }
        }
    };
}

unit!(
    /// A distance or a position in pixels of the surface.
    ///
    /// ```
    /// use handover_model::Px;
    /// assert_eq!(Px(13).align_up(Px(8)), Some(Px(16)));
    /// assert_eq!(Px(13).align_up(Px(0)), None);
    /// assert_eq!(Px(13).to_string(), "13 px");
    /// ```
    Px(u32),
    "px"
);

unit!(
    /// A size, an offset or a stride in bytes.
    Bytes(u64),
    "bytes"
);

unit!(
    /// A count of elements: the smallest addressable group of a plane (a pixel, or one chroma sample pair).
    Elements(u32),
    "elements"
);

/// Width and height of a surface or of a part of it, each from 1 to [`Extent::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    width: Px,
    height: Px,
}

impl Extent {
    /// The longest edge. Current GPUs and display controllers stop at 16384 or before, and with this bound the byte size
    /// of every format fits 64 bits many times over.
    pub const MAX: u32 = 16384;

    /// The greatest extent.
    pub const LARGEST: Self = Self { width: Px(Self::MAX), height: Px(Self::MAX) };

    /// An extent of `width` × `height` pixels.
    ///
    /// # Errors
    /// `Invalid` if an edge is 0 or longer than [`Extent::MAX`].
    ///
    /// ```
    /// use handover_model::{Extent, Px};
    /// assert_eq!(Extent::new(720, 404)?.height(), Px(404));
    /// assert!(Extent::new(0, 404).is_err());
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn new(width: u32, height: u32) -> Result<Self> {
        if (1..=Self::MAX).contains(&width) && (1..=Self::MAX).contains(&height) {
            return Ok(Self { width: Px(width), height: Px(height) });
        }
        Err(Error::new(Stage::Negotiate, Kind::Invalid)
            .asked(format!("an extent of {width}x{height} px"))
            .why(format!("each edge has 1 to {} px", Self::MAX)))
    }

    /// Width in pixels.
    pub const fn width(self) -> Px {
        self.width
    }

    /// Height in pixels.
    pub const fn height(self) -> Px {
        self.height
    }

    /// The greatest extent that fits into both.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { width: self.width.min(other.width), height: self.height.min(other.height) }
    }

    /// Does `self` fit into `other`?
    pub fn fits(self, other: Self) -> bool {
        self.width <= other.width && self.height <= other.height
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} px", self.width.0, self.height.0)
    }
}

/// A rectangle of pixels. Its right and bottom edges lie within [`Extent::MAX`], so they never overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rect {
    x: Px,
    y: Px,
    extent: Extent,
}

impl Rect {
    /// The rectangle of `extent` whose first pixel is (`x`, `y`), counted from the top left.
    ///
    /// # Errors
    /// `Invalid` if the right or bottom edge lies beyond [`Extent::MAX`].
    pub fn new(x: u32, y: u32, extent: Extent) -> Result<Self> {
        let inside = |start: u32, length: Px| start.checked_add(length.0).is_some_and(|end| end <= Extent::MAX);
        if inside(x, extent.width) && inside(y, extent.height) {
            return Ok(Self { x: Px(x), y: Px(y), extent });
        }
        Err(Error::new(Stage::Negotiate, Kind::Invalid)
            .asked(format!("a rectangle of {extent} at ({x}, {y})"))
            .why(format!("no surface reaches beyond {} px", Extent::MAX)))
    }

    /// All of a surface.
    pub const fn whole(extent: Extent) -> Self {
        Self { x: Px(0), y: Px(0), extent }
    }

    /// First column.
    pub const fn x(self) -> Px {
        self.x
    }

    /// First row.
    pub const fn y(self) -> Px {
        self.y
    }

    /// Width and height.
    pub const fn extent(self) -> Extent {
        self.extent
    }

    /// First column to the right of it.
    pub const fn right(self) -> Px {
        Px(self.x.0.saturating_add(self.extent.width.0))
    }

    /// First row below it.
    pub const fn bottom(self) -> Px {
        Px(self.y.0.saturating_add(self.extent.height.0))
    }

    /// Do the two have a pixel in common?
    pub fn overlaps(self, other: Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    /// Does it lie within a surface of this extent?
    pub fn within(self, extent: Extent) -> bool {
        self.right() <= extent.width && self.bottom() <= extent.height
    }
}

impl fmt::Display for Rect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at ({}, {})", self.extent, self.x.0, self.y.0)
    }
}

/// Greatest common divisor; that of 0 and n is n.
pub(crate) const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Least common multiple, or `None` where it overflows or one of the two is 0.
pub(crate) const fn lcm(a: u64, b: u64) -> Option<u64> {
    match a.checked_div(gcd(a, b)) {
        Some(0) | None => None,
        Some(part) => match part.checked_mul(b) {
            Some(0) | None => None,
            product => product,
        },
    }
}
