//! Framebuffers: one for each surface that a screen knows, for as long as somebody may still show it.

use std::collections::HashMap;
use std::sync::Arc;

use handover_model::{PlaneLayout, Stage};
use handover_sys::drm::mode::{self, Framebuffer, FramebufferPlane};
use handover_sys::drm::{self, Cap};

use super::super::{Card, KmsHandle};
use super::route::Route;
use crate::error::{Error, Kind, Result, os};
use crate::surface::{Surface, SurfaceId};

/// The framebuffers of one screen.
#[derive(Debug, Default)]
pub(super) struct Framebuffers {
    /// Does the card take modifiers with them?
    takes_modifiers: bool,
    known: HashMap<SurfaceId, Known>,
}

#[derive(Debug)]
struct Known {
    id: u32,
    _handle: KmsHandle,
    /// Keeps the identity: an inode is unique only while somebody has the file.
    surface: Surface,
}

impl Framebuffers {
    pub(super) fn new(card: &Card) -> Self {
        let takes_modifiers = drm::capability(card, Cap::Addfb2Modifiers).is_ok_and(|answer| answer == 1);
        Self { takes_modifiers, known: HashMap::new() }
    }

    /// The framebuffer of a surface, made when it is first shown.
    pub(super) fn of(&mut self, surface: &Surface, card: &Card, route: &Route) -> Result<u32> {
        if let Some(known) = self.known.get(&surface.id()) {
            return Ok(known.id);
        }
        let layout = surface.layout();
        let refused = |found: String, why: &'static str| {
            Error::new(Stage::Import, Kind::Invalid)
                .asked(format!("surface {} on {}", surface.index(), route.name))
                .found(found)
                .why(why)
        };
        let (Some(format), Some(extent)) = (layout.format(), layout.extent()) else {
            return Err(refused("a byte buffer".into(), "a screen shows images"));
        };
        if extent != route.extent {
            return Err(refused(extent.to_string(), "a plane that cannot scale needs the extent of the mode")
                .help(format!("a surface of {}", route.extent)));
        }
        let handle = card.import(surface)?;
        let gem = card.gem(&handle)?;
        let narrow = |bytes: u64| {
            u32::try_from(bytes).map_err(|_| refused(format!("{bytes} B"), "a framebuffer counts bytes in 32 bits"))
        };
        let plane = |plane: &PlaneLayout| {
            Ok(FramebufferPlane { gem, pitch: narrow(plane.stride.get())?, offset: narrow(plane.offset.get())? })
        };
        let planes = layout.planes().iter().map(plane).collect::<Result<Vec<_>>>()?;
        let framebuffer = Framebuffer {
            width: extent.width().get(),
            height: extent.height().get(),
            format: format.fourcc().0,
            modifier: self.takes_modifiers.then_some(layout.modifier().0),
            planes: &planes,
        };
        let id = mode::add_framebuffer2(card, &framebuffer).map_err(|error| {
            os(
                Stage::Import,
                format!("make a framebuffer of {} {} on {}", format.name(), layout.modifier(), card.driver()),
            )(error)
            .why("the card shows only formats, modifiers and strides of its own")
            .help("dumb buffers of this card (Dumb), in a format of its planes")
        })?;
        self.known.insert(surface.id(), Known { id, _handle: handle, surface: surface.clone() });
        Ok(id)
    }

    /// Removes those of surfaces that nobody else has: a compositor shows buffers of clients, which come and go. What is on the
    /// screen or on its way is in a lease, and stays.
    pub(super) fn sweep(&mut self, card: &Card) {
        self.known.retain(|_, known| {
            let is_wanted = Arc::strong_count(&known.surface.0) > 1;
            if !is_wanted {
                // One that cannot be removed goes with the open file.
                let _ = mode::remove_framebuffer(card, known.id);
            }
            is_wanted
        });
    }

    /// Removes all.
    pub(super) fn clear(&mut self, card: &Card) {
        for (_, known) in self.known.drain() {
            // Those that cannot be removed go with the open file.
            let _ = mode::remove_framebuffer(card, known.id);
        }
    }
}
