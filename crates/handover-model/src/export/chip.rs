//! The decision of an export on a chip of AMD's: what AMDGPU's own [`plan`] makes of the surface.
//!
//! The general [rule](super::decide) looks at the flags alone. Here the plan decides: it drops compression where the general rule keeps it
//! (a front buffer, a display DCC that nobody would flush) and keeps it where that rule drops it (GFX11 and later write DCC from shaders).
//! Who resolves, and how flags add up, is the same in both.

use super::amdgpu::{Drop, HandleUsage, Plan, Request, Stays, Step, Texture, plan};
use super::{Compression, Decision, ExportFlags, ExportState, Outcome, Reason, admit};
use crate::Result;

/// As [`decide`](super::decide), where the plan of AMDGPU says what becomes of the compression. Pure; a refusal changes nothing.
///
/// Of `texture`, `state` says whether it has DCC still, and whether a modifier promises it.
///
/// # Errors
/// Those of [`decide`](super::decide) and of [`plan`].
///
/// ```
/// use handover_model::export::amdgpu::{Drop, Step, Texture};
/// use handover_model::export::{Compression, ExportFlags, ExportState, Outcome, Reason, chip};
/// use handover_model::metadata::amdgpu::Level;
/// let front = Texture { scanout: true, displayable: true, display_dcc: true, ..Texture::new(Level::Gfx10_3) };
/// let fresh = ExportState::new(Compression::Possible);
/// let (_, decision, plan) = chip::decide(&front, fresh, ExportFlags::READ)?;
/// assert_eq!((decision.compression, decision.reason), (Outcome::Dropped, Reason::FrontBuffer));
/// assert_eq!(plan.steps.first(), Some(&Step::DropDcc(Drop::FrontBuffer)));
/// # Ok::<(), handover_model::Error>(())
/// ```
pub fn decide(texture: &Texture, state: ExportState, flags: ExportFlags) -> Result<(ExportState, Decision, Plan)> {
    let merged = admit(&state, flags)?;
    let earlier = (state.exports > 0).then(|| HandleUsage::from(state.flags));
    let texture = Texture {
        dcc: state.is_compressed(),
        display_dcc: texture.display_dcc && state.is_compressed(),
        modifier_with_dcc: state.compression == Compression::Promised,
        ..*texture
    };
    let plan = plan(&texture, earlier, &Request::new(flags.into()))?;
    let dropped = plan.steps.iter().find_map(|step| match step {
        Step::DropDcc(why) | Step::MoveUncompressed(why) => Some(*why),
        _ => None,
    });
    let stays = plan.steps.iter().find_map(|step| match step {
        Step::DccStays(_, stays) => Some(*stays),
        _ => None,
    });
    let after = state.exported(merged, dropped.is_some());
    let (compression, reason) = match (state.compression, dropped, stays) {
        (Compression::None, ..) => (Outcome::NeverHad, Reason::NotCompressible),
        (_, Some(why), _) => (Outcome::Dropped, why.reason()),
        _ if state.dropped => (Outcome::Dropped, Reason::AlreadyDropped),
        (_, _, Some(Stays::RenderedElsewhere | Stays::AlreadyShared)) => (Outcome::Kept, Reason::TooLate),
        (Compression::Promised, ..) => (Outcome::Kept, Reason::ModifierPromises),
        _ if merged.contains(ExportFlags::WRITE) => (Outcome::Kept, Reason::ConsumerCompresses),
        _ => (Outcome::Kept, Reason::ReadOnlyConsumer),
    };
    Ok((after, Decision::between(state, after, compression, reason), plan))
}

impl Drop {
    const fn reason(self) -> Reason {
        match self {
            Self::Debug => Reason::Debug,
            Self::ShaderWrite => Reason::ConsumerMayWrite,
            Self::FrontBuffer => Reason::FrontBuffer,
            Self::StaleDisplayDcc => Reason::StaleDisplayDcc,
        }
    }
}
