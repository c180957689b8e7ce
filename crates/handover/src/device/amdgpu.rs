//! Chips of AMD's: AMDGPU's own plans drive what an export, a flush and an import do on them.
//!
//! # What is left to our own rules
//!
//! - **Sub-allocation, tile swizzle, memory for one process.** A surface here has memory of its own, so no export ever moves it.
//! - **The first export.** Allocation writes word and block already, so that who asks before finds them too.
//! - **Exports after one without EXPLICIT_FLUSH.** Mesa writes out what any submission left; here every submission has done so at its
//!   end, and one that still runs will.
//! - **Fast clears after an export without EXPLICIT_FLUSH.** Mesa forbids those that its own metadata does not describe; here each is
//!   written out when its submission ends.
//! - **An offset without a modifier.** Mesa takes such a plane for linear; that would be a guess, and is refused.
//! - **A display's DCC in a handle without EXPLICIT_FLUSH and modifier.** Mesa's importer forgets it and rewrites the metadata of the
//!   producer, which its own comment calls wrong. The export that made the handle dropped it, and who finds it all the same is refused.

use handover_model::export::amdgpu::{Drop, HandleUsage, Step, Texture, Write};
use handover_model::export::flush::{Dirty, Pass, passes};
use handover_model::export::{chip, decide};
use handover_model::import::amdgpu::{Handle, Plane, Request, Step as ImportStep, plan};
use handover_model::import::stride::Computed;
use handover_model::metadata::amdgpu::{Caller, ImageType, Reader};
use handover_model::metadata::registry::Registry;
use handover_model::{Bytes, Decision, Elements, ExportFlags, ExportState, Extent, Format, Layout, Metadata};
use handover_model::{Modifier, Stage};

use super::chips::Chip;
use super::{Device, Profile, has_display_dcc, is_compressed, tiled};
use crate::allocate::{Display, Shared};
use crate::error::{Error, Kind, Result};

/// What the producer of a surface knows of it beyond its layout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) display: Display,
    pub(crate) shared: Shared,
}

/// What an export decided, and what it does.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) state: ExportState,
    pub(crate) decision: Decision,
    /// What is done, in order. AMDGPU's plan, or the general rule in its words.
    pub(crate) steps: Vec<Step>,
    is_amdgpu: bool,
}

impl Planned {
    /// What the caller gets to see: the plan of a driver, if there is one.
    pub(crate) fn told(self) -> (Decision, Vec<Step>) {
        (self.decision, if self.is_amdgpu { self.steps } else { Vec::new() })
    }
}

/// What an import was told: the handle's layout, what stands with the buffer, its size, and what the consumer will do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) handed: &'a Layout,
    pub(crate) metadata: &'a Metadata,
    pub(crate) memory: Bytes,
    pub(crate) flags: ExportFlags,
    /// Who says what the metadata means.
    pub(crate) registry: &'a Registry,
}

impl Device {
    fn amdgpu(self) -> Option<(&'static Chip, Reader)> {
        let Profile::Chip(chip) = self.profile else { return None };
        chip.reader().map(|reader| (chip, reader))
    }

    /// What an export with these flags does: AMDGPU's plan on its chips, the general rule elsewhere. Pure.
    pub(crate) fn plan_export(
        self,
        layout: &Layout,
        made: Made,
        state: ExportState,
        flags: ExportFlags,
    ) -> Result<Planned> {
        if let Some((_, reader)) = self.amdgpu() {
            let texture = Texture {
                scanout: made.display == Display::Scanout,
                displayable: made.display != Display::None || has_display_dcc(layout.modifier()),
                display_dcc: has_display_dcc(layout.modifier()),
                planes: if made.shared == Shared::ByModifier { layout.planes().len() as u32 } else { 1 },
                ..Texture::new(reader.level)
            };
            let (state, decision, plan) = chip::decide(&texture, state, flags)?;
            return Ok(Planned { state, decision, steps: plan.steps, is_amdgpu: true });
        }
        let (state, decision) = decide(state, flags)?;
        let steps = match decision {
            Decision { changed: true, .. } => {
                vec![Step::DropDcc(Drop::ShaderWrite), Step::WriteMetadata(Write::Dropped)]
            }
            Decision { resolve_now: true, .. } => vec![Step::EliminateFastClears],
            _ => Vec::new(),
        };
        Ok(Planned { state, decision, steps, is_amdgpu: false })
    }

    /// What a flush writes out, in order.
    pub(super) fn passes(self, codec: &tiled::Codec) -> Vec<Pass> {
        let dirty = Dirty { colour: codec.is_dirty(), display: codec.is_stale() };
        match self.amdgpu() {
            Some((_, reader)) => {
                let texture = Texture {
                    dcc: codec.is_compressed(),
                    display_dcc: codec.has_display(),
                    ..Texture::new(reader.level)
                };
                passes(&texture, dirty)
            }
            // What a peer scribbled over the states shows here too.
            None => vec![Pass::EliminateFastClears],
        }
    }

    /// What AMDGPU does at this import, where it is a chip of AMD's that gets a layout of its own; `layout` is what modifier or metadata
    /// gave. Empty on other devices.
    ///
    /// # Errors
    /// `Malformed`, naming stride, offset, plane or size, and what the chip demands.
    pub(super) fn plan_import(self, arrival: &Arrival<'_>, layout: &Layout) -> Result<Vec<ImportStep>> {
        let (Some((chip, reader)), Some((format, extent))) = (self.amdgpu(), layout.format().zip(layout.extent()))
        else {
            return Ok(Vec::new());
        };
        let by_modifier = arrival.handed.modifier() != Modifier::INVALID;
        let follows = chip.imports_by_rule(layout.modifier(), layout.gfx8());
        if !follows || !(by_modifier || chip.wrote(arrival.metadata)) {
            return Ok(Vec::new());
        }
        let modifier = layout.modifier();
        let computed = chip.layout(format, extent, modifier, layout.gfx8()).map_err(|error| error.at(Stage::Import))?;
        let import = Import { reader, arrival, layout, computed, by_modifier, format, extent, modifier };
        let mut steps = Vec::new();
        for index in 0..format.planes().len() {
            steps.extend(import.plane(index).map_err(|error| match error.kind() {
                // What a caller may not ask for, a peer may not say.
                Kind::Invalid => error.of_kind(Kind::Malformed),
                _ => error,
            })?);
        }
        Ok(steps)
    }
}

/// An import on a chip of AMD's.
struct Import<'a> {
    reader: Reader,
    arrival: &'a Arrival<'a>,
    /// The layout by which the pixels will be read: the computed one at a stride that the chip may not take.
    layout: &'a Layout,
    /// The layout that the chip computes, whatever it was told; from the start of the memory.
    computed: Layout,
    by_modifier: bool,
    format: Format,
    extent: Extent,
    modifier: Modifier,
}

impl Import<'_> {
    /// The steps for one plane of pixels.
    fn plane(&self, index: usize) -> Result<Vec<ImportStep>> {
        let computed = &self.computed;
        let (Some(own), Some(read), Some(told), Some(texel), Some((wide, rows))) = (
            computed.plane(index),
            self.layout.plane(index),
            self.arrival.handed.plane(index),
            self.format.planes().get(index).map(|plane| plane.bytes_per_element),
            self.format.plane_extent(index, self.extent),
        ) else {
            return Err(Error::new(Stage::Import, Kind::Malformed)
                .asked(format!("plane {index} of {} {}", self.format, self.modifier))
                .found(format!("{} planes", self.arrival.handed.planes().len())));
        };
        let linear = self.modifier == Modifier::LINEAR;
        let has_metadata = is_compressed(self.modifier);
        let block_width = if linear { Elements(1) } else { computed.placed(index)?.tiling().block().0 };
        let row = texel.checked_mul(wide.get().into()).unwrap_or(own.stride);
        let strides = Computed {
            level: self.reader.level,
            linear,
            three_dimensional: false,
            has_metadata,
            levels: 1,
            layers: 1,
            bytes_per_element: texel,
            block_width,
            row,
            stride: own.stride,
        };
        // Planes past the pixels, of which there is one then. The chip computes as if that began at 0.
        let further = |layout: &Layout, from: Bytes| -> Vec<Plane> {
            let planes = layout.planes().iter().skip(self.format.planes().len());
            let place = |offset: Bytes| offset.checked_add(from).unwrap_or(Bytes(u64::MAX));
            planes.map(|plane| Plane { offset: place(plane.offset), stride: plane.stride }).collect()
        };
        let (given, expected) = match self.by_modifier {
            true => (further(self.arrival.handed, Bytes::ZERO), further(computed, told.offset)),
            false => (Vec::new(), Vec::new()),
        };
        let surface = match (linear, rows.checked_sub(1)) {
            (true, Some(more)) => told.stride.checked_mul(more.into()).and_then(|above| above.checked_add(row)),
            // At a stride of the handle's the pixels reach further than the chip by itself would have them.
            (false, _) if !self.by_modifier => Some(read.size),
            _ => Some(own.size),
        };
        let surface = surface.unwrap_or(Bytes(u64::MAX));
        let request = Request {
            handle: Handle::Descriptor,
            reader: self.reader,
            caller: Caller {
                modifier: self.by_modifier.then_some(self.modifier),
                offset: told.offset,
                width: wide.get(),
                height: rows,
                levels: 1,
                samples: 1,
                image: ImageType::D2,
                buffer: self.arrival.memory,
                surface,
                dcc: computed.planes().last().filter(|_| has_metadata).map(|dcc| dcc.size).unwrap_or_default(),
            },
            dedicated: true,
            usage: HandleUsage::from(self.arrival.flags),
            computed: strides,
            total: if has_metadata { computed.size() } else { surface },
            displayable: has_display_dcc(self.modifier),
            stride: Some(told.stride),
            planes: (&given, &expected),
        };
        let plan = plan(&request, self.arrival.metadata)?;
        if read.stride != told.stride {
            return Err(Error::new(Stage::Import, Kind::Malformed)
                .asked(format!("a stride of {}", told.stride))
                .why(format!("{} is the one that can be computed here", read.stride)));
        }
        if !self.by_modifier {
            self.check_dcc(plan.reading.dcc_offset, plan.reading.display_dcc_offset)?;
        }
        if plan.steps.contains(&ImportStep::DropDisplayDcc) {
            return Err(Error::new(Stage::Import, Kind::Malformed)
                .asked(format!("a surface exported for {}", self.arrival.flags))
                .found("metadata with DCC for a display")
                .why("no flush is promised, so the export that made the handle has dropped it, and somebody wrote it back")
                .help("a handle of an export with EXPLICIT_FLUSH"));
        }
        Ok(plan.steps)
    }

    /// The block may put DCC nowhere but where the layout has it: we read it there.
    fn check_dcc(&self, found: Option<Bytes>, display: Option<Bytes>) -> Result<()> {
        let (computed, shown) = (&self.computed, has_display_dcc(self.modifier));
        let drawn_by = if shown { computed.plane(2) } else { computed.plane(1) };
        let expected = drawn_by.filter(|_| computed.has_compression()).map(|plane| plane.offset);
        let for_display = computed.plane(1).filter(|_| shown).map(|plane| plane.offset);
        if (found, display) == (expected, for_display) {
            return Ok(());
        }
        let at = |offset: Option<Bytes>| offset.map_or("nowhere".to_owned(), |offset| format!("at {offset}"));
        Err(Error::new(Stage::Import, Kind::Malformed)
            .asked(format!("{} {} without a modifier", self.format, self.extent))
            .found(format!("metadata of AMDGPU with DCC {}, a display's {}", at(found), at(display)))
            .why(format!("{} has it {}, and a display's {}", self.modifier, at(expected), at(for_display))))
    }
}
