//! AMDGPU's export rule to the letter: what each export does to the surface, step by step, with the reason of each.
//!
//! The generic rule one level up decides from the flags alone. This one also looks at the chip and at how the surface was made, as
//! Mesa does (25.0.7, `si_texture.c:si_texture_get_handle`); importers still play no part in it. In order:
//!
//! 1. A further plane: only offset, stride and modifier are given out.
//! 2. Several samples, or depth: refused.
//! 3. Memory that cannot be shared: the surface moves to memory of its own.
//! 4. DCC is dropped where a consumer could not live with it ([`Drop`]); where it cannot be dropped any more, it stays, and the
//!    caller is told ([`Stays`]).
//! 5. Without EXPLICIT_FLUSH, what the metadata does not describe is written out now, as `flush` does, and CMASK is given up.
//! 6. Metadata is written by the first export, and by one that dropped DCC; never for a plane that does not begin at 0, which one
//!    that moved does.
//! 7. Usages add up over exports, except EXPLICIT_FLUSH, which holds only while every export has it.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use bitflags::bitflags;

use super::ExportFlags;
use super::flush::{Dirty, Pass, passes};
use crate::metadata::amdgpu::Level;
use crate::{Bytes, Error, Kind, Result, Stage};

bitflags! {
    /// What consumers do, as Mesa tells it apart (`PIPE_HANDLE_USAGE_*`). None of them: they only read.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct HandleUsage: u32 {
        /// The producer's `flush` is called before a consumer starts. Merge rule over exports: AND.
        const EXPLICIT_FLUSH = 1;
        /// They render into it. Merge rule over exports: OR.
        const FRAMEBUFFER_WRITE = 2;
        /// They write it from shaders, which before GFX11 cannot write DCC. Merge rule over exports: OR.
        const SHADER_WRITE = 4;
    }
}

impl HandleUsage {
    /// The usages after an export with `new`, where `before` are those of all earlier ones.
    ///
    /// ```
    /// use handover_model::export::amdgpu::HandleUsage as U;
    /// assert_eq!(U::merge(None, U::EXPLICIT_FLUSH), U::EXPLICIT_FLUSH);
    /// assert_eq!(U::merge(Some(U::EXPLICIT_FLUSH), U::SHADER_WRITE), U::SHADER_WRITE);
    /// assert_eq!(U::merge(Some(U::SHADER_WRITE), U::EXPLICIT_FLUSH), U::SHADER_WRITE);
    /// ```
    #[must_use]
    pub fn merge(before: Option<Self>, new: Self) -> Self {
        let Some(before) = before else { return new };
        let promised = before & new & Self::EXPLICIT_FLUSH;
        ((before | new) - Self::EXPLICIT_FLUSH) | promised
    }
}

impl From<ExportFlags> for HandleUsage {
    /// A WRITE that is not told apart is both kinds.
    fn from(flags: ExportFlags) -> Self {
        let mut usage = Self::empty();
        usage.set(Self::EXPLICIT_FLUSH, flags.contains(ExportFlags::EXPLICIT_FLUSH));
        usage.set(Self::FRAMEBUFFER_WRITE | Self::SHADER_WRITE, flags.contains(ExportFlags::WRITE));
        usage
    }
}

impl fmt::Display for HandleUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("reading only");
        }
        bitflags::parser::to_writer(self, f)
    }
}

/// What the producer knows of its surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Texture {
    /// Level of its device.
    pub level: Level,
    /// Does DCC of this chip encode constants, so that clears need no elimination? See
    /// [`Chip::constant_encode`](crate::metadata::amdgpu::Chip::constant_encode).
    pub constant_encode: bool,
    /// Samples a pixel.
    pub samples: u32,
    /// Is it depth or stencil?
    pub depth: bool,
    /// Does it share its memory object with other resources?
    pub suballocated: bool,
    /// Are bits of pipe and bank mixed in that the metadata does not carry?
    pub tile_swizzle: bool,
    /// Was its memory made for one process only?
    pub local: bool,
    /// Was it created for a display?
    pub scanout: bool,
    /// Can a display read its layout?
    pub displayable: bool,
    /// Has it DCC? On GFX12: are its pages compressed?
    pub dcc: bool,
    /// Has it a second DCC, for the display?
    pub display_dcc: bool,
    /// Has it CMASK (fast clears without DCC)?
    pub cmask: bool,
    /// Planes that its modifier counts; 1 without a modifier.
    pub planes: u32,
    /// Was it made with a modifier that has DCC?
    pub modifier_with_dcc: bool,
}

impl Texture {
    /// A surface of one sample with nothing special.
    pub const fn new(level: Level) -> Self {
        Self {
            level,
            constant_encode: false,
            samples: 1,
            depth: false,
            suballocated: false,
            tile_swizzle: false,
            local: false,
            scanout: false,
            displayable: false,
            dcc: false,
            display_dcc: false,
            cmask: false,
            planes: 1,
            modifier_with_dcc: false,
        }
    }

    /// Does its display DCC go stale unless somebody retiles it (`si_displayable_dcc_needs_explicit_flush`)? Who sees several planes
    /// knows that it must not render to the front buffer; GFX12 has no such copy.
    const fn needs_retile(&self) -> bool {
        self.displayable
            && self.dcc
            && self.planes <= 1
            && !matches!(self.level, Level::Gfx6 | Level::Gfx7 | Level::Gfx8 | Level::Gfx12)
    }
}

/// Why a surface moves to memory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// It shares its memory object, and metadata is the object's.
    Suballocated,
    /// It mixes bits into addresses that no metadata carries.
    TileSwizzle,
    /// Its memory belongs to one process.
    Local,
}

/// Why DCC is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drop {
    /// A debug option forbids DCC in exports.
    Debug,
    /// A consumer writes from shaders, and before GFX11 those do not write DCC.
    ShaderWrite,
    /// No flush is promised for a surface made for a display: it may be rendered to while it is shown.
    FrontBuffer,
    /// No flush is promised, and the display's DCC would go stale.
    StaleDisplayDcc,
}

/// Why DCC stays although it should be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stays {
    /// Somebody who renders into it already has it, and cannot be told.
    RenderedElsewhere,
    /// Its modifier promises DCC.
    Modifier,
    /// GFX12: somebody already has its memory, and would not see that it moved.
    AlreadyShared,
}

/// Why metadata is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// It is the first export.
    First,
    /// DCC was dropped. Whoever read the metadata before is not told by the kernel, and has to be by the library.
    Dropped,
}

/// One step of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Give out offset, stride and modifier of a further plane, and decide nothing.
    PlaneOnly,
    /// Allocate memory of its own, copy, and wait for the copy.
    Move(Move),
    /// Decompress the whole surface and forget where DCC was.
    DropDcc(Drop),
    /// GFX12: allocate memory without compressed pages, and copy.
    MoveUncompressed(Drop),
    /// DCC should be dropped and is not.
    DccStays(Drop, Stays),
    /// Write fast clears out, as `flush` does.
    EliminateFastClears,
    /// Make the display's DCC of the renderer's, as `flush` does.
    RetileDisplayDcc,
    /// Give CMASK up.
    DiscardCmask,
    /// Set word and block.
    WriteMetadata(Write),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlaneOnly => f.write_str("give out offset, stride and modifier of a further plane"),
            Self::Move(why) => write!(f, "move it to memory of its own: {}", why.text()),
            Self::DropDcc(why) => write!(f, "decompress and drop DCC: {}", why.text()),
            Self::MoveUncompressed(why) => write!(f, "move it to pages that are not compressed: {}", why.text()),
            Self::DccStays(why, stays) => write!(f, "keep DCC although {}: {}", why.text(), stays.text()),
            Self::EliminateFastClears => f.write_str("eliminate fast clears: no flush is promised"),
            Self::RetileDisplayDcc => f.write_str("retile the display's DCC: no flush is promised"),
            Self::DiscardCmask => f.write_str("give CMASK up: no flush is promised"),
            Self::WriteMetadata(Write::First) => f.write_str("write the metadata: the first export"),
            Self::WriteMetadata(Write::Dropped) => f.write_str("write the metadata: DCC was dropped"),
        }
    }
}

impl Move {
    const fn text(self) -> &'static str {
        match self {
            Self::Suballocated => "metadata is a memory object's, and it shares one",
            Self::TileSwizzle => "it mixes bits into addresses that no metadata carries",
            Self::Local => "its memory belongs to one process",
        }
    }
}

impl Drop {
    const fn text(self) -> &'static str {
        match self {
            Self::Debug => "a debug option forbids DCC in exports",
            Self::ShaderWrite => "a consumer writes from shaders, which before GFX11 do not write DCC",
            Self::FrontBuffer => "no flush is promised, and it may be rendered to while it is shown",
            Self::StaleDisplayDcc => "no flush is promised, and the display's DCC would go stale",
        }
    }
}

impl Stays {
    const fn text(self) -> &'static str {
        match self {
            Self::RenderedElsewhere => "somebody who renders into it has it already",
            Self::Modifier => "its modifier promises DCC",
            Self::AlreadyShared => "somebody has its memory already, and would not see it move",
        }
    }
}

/// One request for a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What the consumer will do.
    pub usage: HandleUsage,
    /// Which plane.
    pub plane: u32,
    /// Where the surface begins in its memory.
    pub offset: Bytes,
    /// A debug option: no DCC in exports.
    pub no_exported_dcc: bool,
}

impl Request {
    /// A request for plane 0 of a surface at the start of its memory.
    pub const fn new(usage: HandleUsage) -> Self {
        Self { usage, plane: 0, offset: Bytes::ZERO, no_exported_dcc: false }
    }
}

/// What an export does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The surface afterwards.
    pub texture: Texture,
    /// The usages of all exports, this one included. `None` if this one counts for nothing and there was no other.
    pub usage: Option<HandleUsage>,
}

impl Plan {
    /// Must importers that read the metadata earlier read it again?
    pub fn changes_layout(&self) -> bool {
        self.steps.contains(&Step::WriteMetadata(Write::Dropped))
    }
}

/// The rule above. `before` are the usages of all earlier exports, `None` before the first. Pure.
///
/// # Errors
/// `Unsupported` for several samples and for depth: neither FMASK nor HTILE is ever shared.
///
/// ```
/// use handover_model::export::amdgpu::{Drop, HandleUsage, Request, Step, Texture, plan};
/// use handover_model::metadata::amdgpu::Level;
/// let texture = Texture { dcc: true, ..Texture::new(Level::Gfx9) };
/// let plan = plan(&texture, None, &Request::new(HandleUsage::SHADER_WRITE | HandleUsage::EXPLICIT_FLUSH))?;
/// assert_eq!(plan.steps.first(), Some(&Step::DropDcc(Drop::ShaderWrite)));
/// # Ok::<(), handover_model::Error>(())
/// ```
pub fn plan(texture: &Texture, before: Option<HandleUsage>, request: &Request) -> Result<Plan> {
    let mut plan = Plan { steps: Vec::new(), texture: *texture, usage: before };
    if request.plane > 0 {
        plan.steps.push(Step::PlaneOnly);
        return Ok(plan);
    }
    if texture.samples > 1 || texture.depth {
        let what = if texture.depth { "depth".into() } else { format!("{} samples", texture.samples) };
        return Err(Error::new(Stage::Export, Kind::Unsupported)
            .asked(format!("a handle for a surface with {what}"))
            .why("its FMASK or HTILE would have to be shared, and no metadata describes them")
            .help("resolve into a surface of one sample, or copy depth into colour"));
    }
    if let Some(why) = must_move(texture) {
        plan.steps.push(Step::Move(why));
        plan.texture = Texture { suballocated: false, tile_swizzle: false, local: false, ..*texture };
    }
    let usage = HandleUsage::merge(before, request.usage);
    let dropped = drop_dcc(&mut plan, before, request);
    if !request.usage.contains(HandleUsage::EXPLICIT_FLUSH) && (plan.texture.cmask || plan.texture.dcc) {
        let everything = Dirty { colour: true, display: true };
        plan.steps.extend(passes(&plan.texture, everything).into_iter().filter_map(|pass| match pass {
            Pass::EliminateFastClears => Some(Step::EliminateFastClears),
            Pass::RetileDisplayDcc => Some(Step::RetileDisplayDcc),
            // Several samples were refused.
            Pass::DecompressFmask => None,
        }));
        if plan.texture.cmask {
            plan.steps.push(Step::DiscardCmask);
            plan.texture.cmask = false;
        }
    }
    let moved = plan.steps.iter().any(|step| matches!(step, Step::Move(_) | Step::MoveUncompressed(_)));
    if (moved || request.offset == Bytes::ZERO) && (before.is_none() || dropped) {
        plan.steps.push(Step::WriteMetadata(if before.is_none() { Write::First } else { Write::Dropped }));
    }
    plan.usage = Some(usage);
    Ok(plan)
}

fn must_move(texture: &Texture) -> Option<Move> {
    [
        (texture.suballocated, Move::Suballocated),
        (texture.tile_swizzle, Move::TileSwizzle),
        (texture.local, Move::Local),
    ]
    .into_iter()
    .find(|(holds, _)| *holds)
    .map(|(_, why)| why)
}

/// Step 4. Says whether DCC was dropped.
fn drop_dcc(plan: &mut Plan, before: Option<HandleUsage>, request: &Request) -> bool {
    let texture = plan.texture;
    let promised = request.usage.contains(HandleUsage::EXPLICIT_FLUSH);
    let shader = request.usage.contains(HandleUsage::SHADER_WRITE) && texture.level < Level::Gfx11;
    let why = [
        (request.no_exported_dcc, Drop::Debug),
        (shader, Drop::ShaderWrite),
        (!promised && texture.scanout, Drop::FrontBuffer),
        (!promised && texture.needs_retile(), Drop::StaleDisplayDcc),
    ]
    .into_iter()
    .find(|(holds, _)| texture.dcc && *holds)
    .map(|(_, why)| why);
    let Some(why) = why else { return false };
    let stays = if texture.level == Level::Gfx12 && before.is_some() {
        Some(Stays::AlreadyShared)
    } else if before.is_some_and(|before| before.contains(HandleUsage::FRAMEBUFFER_WRITE)) {
        Some(Stays::RenderedElsewhere)
    } else {
        texture.modifier_with_dcc.then_some(Stays::Modifier)
    };
    if let Some(stays) = stays {
        plan.steps.push(Step::DccStays(why, stays));
        return false;
    }
    plan.steps.push(match texture.level {
        Level::Gfx12 => Step::MoveUncompressed(why),
        _ => Step::DropDcc(why),
    });
    plan.texture.dcc = false;
    plan.texture.display_dcc = false;
    true
}
