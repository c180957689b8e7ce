//! Dumb buffers of a card: memory that its display can surely show.

use handover_model::{Bytes, Layout, Modifier, ReadOnly, Stage};
use handover_sys::dma_buf;
use handover_sys::drm::{dumb, prime};
use handover_sys::map::Mapping;

use super::Card;
use crate::Writers;
use crate::backend::memory::Memory;
use crate::backend::{Allocated, Backend, Order};
use crate::error::{Error, Kind, Result, os};

/// Dumb buffers of a card. Render nodes cannot make them.
#[derive(Debug, Clone)]
pub struct Dumb(Card);

impl Dumb {
    /// Buffers of this card.
    pub fn of(card: Card) -> Self {
        Self(card)
    }
}

impl Backend for Dumb {
    fn name(&self) -> String {
        format!("dumb buffers of {}", self.0.driver())
    }

    fn order(&self) -> Order {
        Order::AmongPeers
    }

    /// The first export fixes the mode of the one description: without WRITE if nobody else will write. Whoever can open the
    /// node imports the buffer and maps it writable all the same.
    fn read_only(&self, writers: Writers) -> ReadOnly {
        match writers {
            Writers::Me | Writers::Named(0) => ReadOnly::Descriptor,
            Writers::Named(_) | Writers::Open => ReadOnly::Unenforced,
        }
    }

    fn allocate(&self, layout: &Layout, writers: Writers) -> Result<Allocated> {
        let stage = Stage::Allocate;
        let shape = Shape::of(layout)?;
        let made = dumb::create(&self.0, shape.width, shape.height, shape.bits).map_err(|error| {
            let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            let error = os(stage, format!("make a dumb buffer on {}", self.0.driver()))(error);
            if denied { error.why("render nodes make none").help("open the card instead") } else { error }
        })?;
        let made_memory = (|| {
            if u64::from(made.pitch) != shape.stride.get() || made.size < shape.size.get() {
                return Err(Error::new(stage, Kind::Unsupported)
                    .asked(format!("rows of {}", shape.stride))
                    .found(format!("rows of {} from {}", Bytes(u64::from(made.pitch)), self.0.driver()))
                    .why("the card decides how long the rows of its buffers are")
                    .help("negotiate with the stride alignment of the card"));
            }
            let access = match self.read_only(writers) {
                ReadOnly::Unenforced => prime::Access::ReadWrite,
                ReadOnly::Descriptor | ReadOnly::Sealed => prime::Access::ReadOnly,
            };
            let file = prime::export(&self.0, made.gem, access).map_err(os(stage, "export a dumb buffer"))?;
            let map = match access {
                prime::Access::ReadWrite => None,
                // The maker writes through the card, which is open for writing.
                prime::Access::ReadOnly => {
                    let offset =
                        dumb::map_offset(&self.0, made.gem).map_err(os(stage, "find where a dumb buffer is mapped"))?;
                    // Of the buffer, not of the rows: what a driver counts may end within the last page, and the trailer is there.
                    let size = dma_buf::size(&file).map_err(os(stage, "read the size of a dumb buffer"))?;
                    let length = usize::try_from(size).map_err(|_| Error::new(stage, Kind::Invalid))?;
                    Some(Mapping::new_at(&self.0, offset, length).map_err(os(stage, "map a dumb buffer"))?)
                }
            };
            Memory::dma_buf(file, map)
        })();
        // The dma-buf keeps the memory; the number would only leak.
        let closed = prime::close(&self.0, made.gem).map_err(os(stage, "close the handle of a dumb buffer"));
        let memory = made_memory?;
        closed?;
        Ok(Allocated { memory })
    }
}

/// What to ask for so that the rows come out as the layout has them, with room for a trailer behind them.
struct Shape {
    width: u32,
    height: u32,
    bits: u32,
    stride: Bytes,
    size: Bytes,
}

impl Shape {
    fn of(layout: &Layout) -> Result<Self> {
        let refused = |why: &'static str| {
            Error::new(Stage::Allocate, Kind::Unsupported)
                .asked(format!("a dumb buffer with {}", layout.modifier()))
                .why(why)
        };
        if layout.modifier() != Modifier::LINEAR {
            return Err(refused("dumb buffers are linear").help("negotiate LINEAR"));
        }
        let (stride, bits) = match (layout.planes(), layout.format()) {
            // A display that shows it wants the format's own size of a pixel.
            ([plane], Some(format)) => {
                let bytes: Bytes = format.planes().first().map_or(Bytes(1), |plane| plane.bytes_per_element);
                (plane.stride, bytes.get().saturating_mul(8))
            }
            ([first, ..], _) if first.stride.get() > 0 => (first.stride, 8),
            _ => return Err(refused("it has no rows")),
        };
        let size = Memory::size_with_trailer(layout.size())?;
        let pixels = stride.get().checked_mul(8).map(|bits_a_row| bits_a_row / bits.max(1));
        let width = pixels.and_then(|pixels| u32::try_from(pixels).ok());
        let height = u32::try_from(size.get().div_ceil(stride.get().max(1))).ok();
        match (width, height) {
            (Some(width), Some(height)) => {
                Ok(Self { width, height, bits: u32::try_from(bits).unwrap_or(u32::MAX), stride, size })
            }
            _ => Err(refused("it is too large")),
        }
    }
}
