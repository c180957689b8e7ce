//! Where the planes of a surface lie in its memory.
//!
//! A [`Layout`] is legal by construction: it was computed here ([`Layout::linear`], [`Layout::tiled`], [`Layout::in_tiles`],
//! [`Layout::blocks`], [`Layout::buffer`]) or it is what a peer alleged and a check confirmed ([`Layout::from_allegation`]).
//!
//! Where a modifier leaves something unsaid, or pixels are compressed, only a driver can tell how the elements lie. Such a layout is
//! *opaque*: its planes begin inside the memory, and that is all that can be said.

pub mod blocks;
mod linear;
mod tiled;
pub mod tiling;

use alloc::format;
use alloc::string::String;

use crate::units::lcm;
use crate::{Bytes, Error, Extent, Format, Kind, Modifier, Px, Result, Stage};
use tiling::Gfx8;

/// The most planes a layout has, as in `drm_mode_fb_cmd2`.
pub const MAX_PLANES: usize = 4;

/// Where one plane lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PlaneLayout {
    /// First byte, counted from the start of the memory.
    pub offset: Bytes,
    /// Distance between two rows (of elements; of tile bytes for a compression plane). A tiled plane counts it as if its
    /// pixels lay in rows: width of the padded plane × bytes an element.
    pub stride: Bytes,
    /// Bytes from the first to the end of the last row, padding included.
    pub size: Bytes,
}

impl PlaneLayout {
    /// The first byte behind the plane, or `None` where no memory reaches.
    pub const fn end(self) -> Option<Bytes> {
        self.offset.checked_add(self.size)
    }
}

/// What the parties of a surface demand of its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Constraints {
    /// The stride of each pixel plane is a multiple of this. Merge rule over parties: least common multiple.
    pub stride_align: Bytes,
    /// The offset of each plane is a multiple of this. Merge rule over parties: least common multiple.
    pub offset_align: Bytes,
}

impl Constraints {
    /// No demands: rows and planes follow each other without padding.
    pub const NONE: Self = Self { stride_align: Bytes(1), offset_align: Bytes(1) };
}

impl Default for Constraints {
    fn default() -> Self {
        Self::NONE
    }
}

/// The layout of a surface, or of a byte buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    image: Option<(Format, Extent)>,
    modifier: Modifier,
    planes: [PlaneLayout; MAX_PLANES],
    count: usize,
    size: Bytes,
    is_opaque: bool,
    tiles: Option<Gfx8>,
}

impl Layout {
    /// A byte buffer: no format, no extent, one plane.
    ///
    /// # Errors
    /// `Invalid` if `size` is 0 or more than a file can have (2⁶³ − 1).
    pub fn buffer(size: Bytes) -> Result<Self> {
        let plane = PlaneLayout { offset: Bytes::ZERO, stride: size, size };
        Self::checked(None, Modifier::LINEAR, &[plane], Bytes(i64::MAX as u64))
            .map_err(|refusal| refusal.into_error(Stage::Allocate, Kind::Invalid).asked(format!("a buffer of {size}")))
    }

    /// The layout that a peer says a surface has, checked: every plane lies inside `memory`, none overlaps another, and
    /// strides and sizes are such as the modifier's rule allows; a driver may have padded a tiled plane. What padding the peer chose is its
    /// own affair. Of compressed layouts only the bounds are checked here, since only who knows the compression reads them.
    /// Neither format nor extent: a byte buffer. Without a modifier ([`Modifier::INVALID`]) it has one plane, in which only metadata tells
    /// how pixels lie. With a modifier that no code here knows, the layout is
    /// [opaque](Self::is_opaque): nothing is said of how planes follow each other, since the drivers of some let them overlap.
    ///
    /// # Errors
    /// `Unsupported` if there is no modifier for several planes (what is not known is never taken for linear) or it cannot carry the format;
    /// `Malformed` if the rest does not fit together.
    ///
    /// ```
    /// use handover_model::{Bytes, Extent, Format, Layout, Modifier, PlaneLayout};
    /// let extent = Extent::new(4, 4)?;
    /// let plane = PlaneLayout { offset: Bytes(0), stride: Bytes(16), size: Bytes(64) };
    /// let allege = |memory| {
    ///     Layout::from_allegation(Some(Format::XRGB8888), Some(extent), Modifier::LINEAR, &[plane], memory)
    /// };
    /// assert!(allege(Bytes(64)).is_ok());
    /// assert!(allege(Bytes(63)).is_err());
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn from_allegation(
        format: Option<Format>,
        extent: Option<Extent>,
        modifier: Modifier,
        planes: &[PlaneLayout],
        memory: Bytes,
    ) -> Result<Self> {
        let image = match (format, extent) {
            (Some(format), Some(extent)) => Ok(Some((format, extent))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Refusal::Malformed("a format without an extent".into())),
            (None, Some(_)) => Err(Refusal::Malformed("an extent without a format".into())),
        };
        image.and_then(|image| Self::checked(image, modifier, planes, memory)).map_err(|refusal| {
            let asked = match (format, extent) {
                (Some(format), Some(extent)) => format!("a layout of {format} {modifier}, {extent}, in {memory}"),
                _ => format!("a layout of a buffer, {modifier}, in {memory}"),
            };
            refusal.into_error(Stage::Import, Kind::Malformed).asked(asked)
        })
    }

    /// The one place where a layout comes from.
    fn checked(
        image: Option<(Format, Extent)>,
        modifier: Modifier,
        planes: &[PlaneLayout],
        memory: Bytes,
    ) -> Result<Self, Refusal> {
        let mut own = [PlaneLayout::default(); MAX_PLANES];
        match own.get_mut(..planes.len()) {
            Some(own) if !planes.is_empty() => own.copy_from_slice(planes),
            _ => return Err(Refusal::Malformed(format!("{} planes; a layout has 1 to {MAX_PLANES}", planes.len()))),
        }
        let is_opaque = image.is_some_and(|(format, _)| match modifier {
            Modifier::LINEAR | Modifier::SIM_BLOCKS => false,
            _ => tiled::is_opaque(format, modifier),
        });
        let (mut end, mut size) = (Bytes::ZERO, Bytes::ZERO);
        for (index, plane) in planes.iter().enumerate() {
            if plane.size == Bytes::ZERO {
                return Err(Refusal::Malformed(format!("plane {index} is empty")));
            }
            if plane.offset < end && !is_opaque {
                let what =
                    format!("plane {index} begins at {}, before the end of the one before it, {end}", plane.offset);
                return Err(Refusal::Malformed(what));
            }
            end = match plane.end() {
                Some(end) if end <= memory => end,
                _ => {
                    let PlaneLayout { offset, size, .. } = plane;
                    return Err(Refusal::Malformed(format!(
                        "plane {index} ({size} from {offset} on) reaches beyond the memory"
                    )));
                }
            };
            size = size.max(end);
        }
        match (image, modifier) {
            (None, Modifier::LINEAR) => match planes {
                [plane] if plane.offset == Bytes::ZERO && plane.stride == plane.size => {}
                _ => return Err(Refusal::Malformed("a buffer has one plane, one row long, from byte 0 on".into())),
            },
            (None, _) => return Err(Refusal::Malformed("a buffer is always linear".into())),
            (Some((format, extent)), Modifier::LINEAR) => linear::check(format, extent, planes)?,
            (Some((format, extent)), Modifier::SIM_BLOCKS) => blocks::check(format, extent, planes)?,
            // The metadata of its producer may say more: see the devices of `handover`.
            (Some(_), Modifier::INVALID) if planes.len() == 1 => {}
            (Some(_), Modifier::INVALID) => {
                return Err(Refusal::Unsupported("without a modifier nobody but the producer knows the layout".into()));
            }
            // A number that this project gave to nobody.
            (Some(_), _) if modifier.vendor() == Modifier::SIM_VENDOR => {
                return Err(Refusal::Unsupported("this modifier is not known here".into()));
            }
            (Some((format, extent)), _) if !is_opaque => tiled::check(format, extent, modifier, planes)?,
            (Some(_), _) => {}
        }
        Ok(Self { image, modifier, planes: own, count: planes.len(), size, is_opaque, tiles: None })
    }

    /// The format; `None` for a byte buffer.
    pub const fn format(&self) -> Option<Format> {
        match self.image {
            Some((format, _)) => Some(format),
            None => None,
        }
    }

    /// Width and height; `None` for a byte buffer.
    pub const fn extent(&self) -> Option<Extent> {
        match self.image {
            Some((_, extent)) => Some(extent),
            None => None,
        }
    }

    /// How the elements lie.
    pub const fn modifier(&self) -> Modifier {
        self.modifier
    }

    /// The tiles of a surface of AMD GFX8, whose layout has no modifier ([`Modifier::INVALID`]).
    pub const fn gfx8(&self) -> Option<Gfx8> {
        self.tiles
    }

    /// Does only a driver know how the elements lie? Devices use such a surface; the CPU finds no pixel in it.
    pub const fn is_opaque(&self) -> bool {
        self.is_opaque
    }

    /// The planes, in ascending order of their offsets unless the layout is opaque; at least one.
    pub fn planes(&self) -> &[PlaneLayout] {
        self.planes.get(..self.count).unwrap_or(&self.planes)
    }

    /// One plane.
    pub fn plane(&self, index: usize) -> Option<PlaneLayout> {
        self.planes().get(index).copied()
    }

    /// Bytes from the start of the memory to the end of the plane that reaches furthest.
    pub const fn size(&self) -> Bytes {
        self.size
    }

    /// Does it have a plane of compression data?
    pub fn has_compression(&self) -> bool {
        match self.modifier {
            Modifier::LINEAR => false,
            Modifier::SIM_BLOCKS => self.count > 1,
            modifier => {
                let pixels = self.format().map_or(0, |format| format.planes().len());
                self.count > pixels && modifier.uncompressed().is_some_and(|resolved| resolved != modifier)
            }
        }
    }

    /// The same pixels without the compression plane, once an export has dropped it. The memory stays as it is.
    #[must_use]
    pub fn without_compression(self) -> Self {
        let first = self.planes().first().copied().unwrap_or_default();
        if !self.has_compression() {
            return self;
        }
        let Some(modifier) = self.modifier.uncompressed() else { return self };
        let mut planes = [PlaneLayout::default(); MAX_PLANES];
        planes[0] = first;
        let is_opaque = self.format().is_some_and(|format| tiled::is_opaque(format, modifier));
        let is_opaque = modifier != Modifier::SIM_BLOCKS && is_opaque;
        Self { planes, count: 1, size: first.end().unwrap_or(self.size), modifier, is_opaque, ..self }
    }

    /// The smallest block of pixels that can be written without touching a byte that belongs to other pixels too: the
    /// least common multiple of tile, compression block (one metadata byte) and chroma step. Width, then height. Of an opaque
    /// layout nobody here can say, so it is the whole surface.
    pub fn write_unit(&self) -> (Px, Px) {
        if let Some(units) = self.tiled_write_unit() {
            let both =
                |a: Px, b: Px| lcm(a.0.into(), b.0.into()).and_then(|both| u32::try_from(both).ok()).map_or(a, Px);
            let (wide, high) =
                units.into_iter().fold((Px(1), Px(1)), |all, unit| (both(all.0, unit.0), both(all.1, unit.1)));
            let extent = self.extent().unwrap_or(Extent::LARGEST);
            return (wide.min(extent.width()), high.min(extent.height()));
        }
        if let (true, Some(extent)) = (self.is_opaque(), self.extent()) {
            return (extent.width(), extent.height());
        }
        let tile = if self.modifier == Modifier::SIM_BLOCKS { blocks::TILE_EDGE.get() } else { 1 };
        let planes = self.format().map_or(&[][..], Format::planes);
        let step = |unit: u32, plane_step: u32| {
            let both = lcm(u64::from(unit), u64::from(plane_step)).and_then(|both| u32::try_from(both).ok());
            both.unwrap_or(unit)
        };
        let wide = planes.iter().fold(tile, |unit, plane| step(unit, plane.horizontal_subsampling));
        let high = planes.iter().fold(tile, |unit, plane| step(unit, plane.vertical_subsampling));
        (Px(wide), Px(high))
    }
}

/// Why planes are no layout. Whose fault that is depends on who asked.
#[derive(Debug)]
enum Refusal {
    Malformed(String),
    Unsupported(String),
}

impl Refusal {
    fn into_error(self, stage: Stage, malformed: Kind) -> Error {
        match self {
            Self::Malformed(why) => Error::new(stage, malformed).why(why),
            Self::Unsupported(why) => Error::new(stage, Kind::Unsupported).why(why),
        }
    }
}
