//! Layouts of real vendors' modifiers, as far as the modifier determines them: see [`tiling`](super::tiling).

use alloc::format;
use alloc::vec::Vec;

use super::tiling::{Gfx8, Parameters, Placed, Plane, Tiling};
use super::{Constraints, Layout, MAX_PLANES, PlaneLayout, Refusal};
use crate::units::lcm;
use crate::{Bytes, Error, Extent, Format, Kind, Modifier, Px, Result, Stage};

impl Layout {
    /// The smallest layout of this modifier that meets the constraints, with the planes of its compression data if it is compressed.
    ///
    /// # Errors
    /// Those of [`Tiling::of`] and [`Tiling::place`]; `Invalid` if an alignment is 0 or so large that the size overflows, `Unsupported` for
    /// a compressed layout of more than one plane of pixels, or one whose compression data nobody says the size of.
    ///
    /// ```
    /// use handover_model::{Bytes, Extent, Format, Layout, Modifier, layout::Constraints};
    /// let navi10 = Modifier(0x0200_0000_0080_1b02);
    /// let layout = Layout::tiled(Format::XRGB8888, Extent::new(1920, 1080)?, navi10, Constraints::NONE)?;
    /// assert_eq!(layout.planes()[0].size, Bytes(1920 * 1152 * 4));
    /// assert!(!layout.is_opaque());
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn tiled(format: Format, extent: Extent, modifier: Modifier, constraints: Constraints) -> Result<Self> {
        let asked = || format!("{modifier} {format}, {extent}");
        let mut planes: Vec<PlaneLayout> = Vec::new();
        let too_large = || {
            Error::new(Stage::Allocate, Kind::Invalid)
                .asked(asked())
                .why("an alignment is at least 1 byte, and the size has to fit 64 bits")
        };
        for index in 0..format.planes().len() {
            let least = place(format, extent, modifier, index, None).map_err(|error| error.at(Stage::Allocate))?;
            let stride_align =
                lcm(least.tiling().stride_unit().get(), constraints.stride_align.get()).ok_or_else(too_large)?;
            let stride = least.stride().align_up(Bytes(stride_align)).ok_or_else(too_large)?;
            let placed = if stride == least.stride() {
                least
            } else {
                place(format, extent, modifier, index, Some(stride)).map_err(|error| error.at(Stage::Allocate))?
            };
            let align = lcm(placed.align().get(), constraints.offset_align.get()).ok_or_else(too_large)?;
            let own = placed.planes().map_err(|error| error.at(Stage::Allocate))?;
            if own.len() > 1 && format.planes().len() > 1 {
                return Err(Error::new(Stage::Allocate, Kind::Unsupported)
                    .asked(asked())
                    .why("no public source says how the compression data of two planes of pixels follow each other"));
            }
            if let [pixels, data, ..] = own.as_slice()
                && data.size.checked_mul(256).is_none_or(|covered| covered < pixels.size)
            {
                return Err(Error::new(Stage::Allocate, Kind::Invalid)
                    .asked(asked())
                    .found(format!("a stride of {}", pixels.stride))
                    .why("the compression data follows the width and covers no such padding")
                    .help("a stride alignment that divides the layout's own, or a modifier without compression"));
            }
            let end = planes.last().map_or(Some(Bytes::ZERO), |plane| plane.end()).ok_or_else(too_large)?;
            let begin = end.align_up(Bytes(align)).ok_or_else(too_large)?;
            for plane in own {
                let offset = begin.checked_add(plane.offset).ok_or_else(too_large)?;
                planes.push(PlaneLayout { offset, ..plane });
            }
        }
        if planes.len() > MAX_PLANES {
            return Err(too_large());
        }
        Self::checked(Some((format, extent)), modifier, &planes, Bytes(u64::MAX))
            .map_err(|refusal| refusal.into_error(Stage::Allocate, Kind::Unreachable).asked(asked()))
    }

    /// The smallest layout of one plane in these tiles of AMD GFX8 that meets the constraints. It has no modifier, and a handle cannot say
    /// it: word and block do.
    ///
    /// # Errors
    /// Those of [`Tiling::amd_gfx8`] and [`Tiling::place`]; `Invalid` if an alignment is 0 or so large that the size overflows,
    /// `Unsupported` for a format of several planes.
    ///
    /// ```
    /// use handover_model::layout::{Constraints, tiling::{ArrayMode, Gfx8, MicroTile}};
    /// use handover_model::{Bytes, Extent, Format, Layout, Modifier};
    /// let tiles = Gfx8 {
    ///     array_mode: ArrayMode::Tiled2D,
    ///     micro_tile: MicroTile::Display,
    ///     pipe_config: 12,
    ///     pipes: 8,
    ///     banks: 16,
    ///     bank_width: 1,
    ///     bank_height: 4,
    ///     macro_aspect: 4,
    ///     tile_split: Bytes(512),
    /// };
    /// let layout = Layout::in_tiles(Format::XRGB8888, Extent::new(1920, 1080)?, tiles, Constraints::NONE)?;
    /// assert_eq!((layout.modifier(), layout.size()), (Modifier::INVALID, Bytes(9_437_184)));
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn in_tiles(format: Format, extent: Extent, tiles: Gfx8, constraints: Constraints) -> Result<Self> {
        let (asked, stage) = (|| format!("tiles of AMD GFX8 for {format}, {extent}"), Stage::Allocate);
        let [_] = format.planes() else {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(asked())
                .found(format!("{} planes", format.planes().len()))
                .why("word and block describe one"));
        };
        let at = |stride| {
            let how = How { modifier: Modifier::INVALID, tiles: Some(tiles) };
            place(format, extent, how, 0, stride).map_err(|error| error.at(stage))
        };
        let least = at(None)?;
        let stride_align = lcm(least.tiling().stride_unit().get(), constraints.stride_align.get());
        let stride = stride_align.and_then(|align| least.stride().align_up(Bytes(align))).ok_or_else(|| {
            Error::new(stage, Kind::Invalid)
                .asked(asked())
                .why("an alignment is at least 1 byte, and the size has to fit 64 bits")
        })?;
        let placed = if stride == least.stride() { least } else { at(Some(stride))? };
        let mut planes = [PlaneLayout::default(); MAX_PLANES];
        planes[0] = PlaneLayout { offset: Bytes::ZERO, stride: placed.stride(), size: placed.size() };
        Ok(Self {
            image: Some((format, extent)),
            modifier: Modifier::INVALID,
            planes,
            count: 1,
            size: placed.size(),
            is_opaque: false,
            tiles: Some(tiles),
        })
    }

    /// Where the elements of a plane of pixels lie, if the modifier determines it. Offsets count from the start of the plane. In a
    /// compressed layout pixels lie there once they are resolved.
    ///
    /// # Errors
    /// `Unsupported` for a linear layout and for one that needs more than its modifier ([`Tiling::of`]); `Invalid` for a plane that the
    /// surface does not have.
    pub fn placed(&self, plane: usize) -> Result<Placed> {
        let (Some((format, extent)), Some(own)) = (self.image, self.plane(plane)) else {
            return Err(Error::new(Stage::Access, Kind::Invalid).asked(format!("plane {plane} of {}", self.modifier)));
        };
        place(format, extent, self.how(), plane, Some(own.stride)).map_err(|error| error.at(Stage::Access))
    }

    /// The write unit in pixels of the surface, if the modifier determines it.
    pub(super) fn tiled_write_unit(&self) -> Option<Vec<(Px, Px)>> {
        let (format, _) = self.image?;
        let units = format.planes().iter().enumerate().map(|(index, plane)| {
            let (wide, high) = tiling(format, self.how(), index).ok()?.write_unit();
            let wide = wide.get().checked_mul(plane.horizontal_subsampling)?;
            Some((Px(wide), Px(high.checked_mul(plane.vertical_subsampling)?)))
        });
        units.collect()
    }

    const fn how(&self) -> How {
        How { modifier: self.modifier, tiles: self.tiles }
    }
}

/// What says how elements lie.
#[derive(Debug, Clone, Copy)]
struct How {
    modifier: Modifier,
    tiles: Option<Gfx8>,
}

impl From<Modifier> for How {
    fn from(modifier: Modifier) -> Self {
        Self { modifier, tiles: None }
    }
}

fn tiling(format: Format, how: impl Into<How>, plane: usize) -> Result<Tiling> {
    let How { modifier, tiles } = how.into();
    let element = format.planes().get(plane).map_or(Bytes::ZERO, |plane| plane.bytes_per_element);
    let kind = if plane == 0 { Plane::Luma } else { Plane::Chroma };
    Tiling::of(modifier, element, &Parameters { plane: Some(kind), amd_gfx8: tiles, ..Parameters::default() })
}

fn place(format: Format, extent: Extent, how: impl Into<How>, plane: usize, stride: Option<Bytes>) -> Result<Placed> {
    let Some((wide, rows)) = format.plane_extent(plane, extent) else {
        let planes = format.planes().len();
        return Err(Error::new(Stage::Access, Kind::Invalid)
            .asked(format!("plane {plane} of {format}"))
            .why(format!("it has {planes} planes of pixels")));
    };
    tiling(format, how, plane)?.place(wide, rows, stride)
}

/// Does only a driver know where the pixels of this modifier are?
pub(super) fn is_opaque(format: Format, modifier: Modifier) -> bool {
    (0..format.planes().len())
        .any(|plane| tiling(format, modifier, plane).map_or(true, |tiling| tiling.is_compressed()))
}

/// The rule for planes whose place in memory was checked before. A driver may have padded a plane, so a larger size is its own affair.
pub(super) fn check(format: Format, extent: Extent, modifier: Modifier, planes: &[PlaneLayout]) -> Result<(), Refusal> {
    if planes.len() != format.planes().len() {
        let wanted = format.planes().len();
        return Err(Refusal::Malformed(format!("{} planes; {modifier} {format} has {wanted}", planes.len())));
    }
    for (index, plane) in planes.iter().enumerate() {
        let placed = match place(format, extent, modifier, index, Some(plane.stride)) {
            Ok(placed) => placed,
            Err(error) => return Err(Refusal::Malformed(format!("plane {index}: {error}"))),
        };
        // The kernel demands whole blocks too (Linux, `amdgpu_display.c:amdgpu_display_verify_sizes`).
        if plane.size < placed.size() {
            let (size, whole, rows) = (plane.size, placed.size(), placed.rows());
            let why = format!("plane {index} has {size}; {rows} rows, which whole blocks make of it, have {whole}");
            return Err(Refusal::Malformed(why));
        }
    }
    Ok(())
}
