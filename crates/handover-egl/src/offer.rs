//! Offers: what a display can do with images of dma-bufs, modifier by modifier, as its driver says.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fmt;
use std::ptr;

use handover::negotiate::{Offer, OfferEntry, SurfaceUsages};
use handover::{Bytes, Extent, Format, Modifier};

use crate::display::Display;
use crate::egl;
use crate::format;

/// What linear rows are aligned to. OpenGL ES does not tell; of the drivers whose rule is known none wants more.
const LINEAR_ALIGN: Bytes = Bytes(256);

/// What is done to the texture itself. What only samples can also do with an external one.
const FRAMEBUFFER: SurfaceUsages = SurfaceUsages::RENDER.union(SurfaceUsages::WRITE).union(SurfaceUsages::READ);

/// What a display can do with one format and modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// The format.
    pub format: Format,
    /// The modifier.
    pub modifier: Modifier,
    /// Is it for sampling alone, as `GL_TEXTURE_EXTERNAL_OES`?
    pub external_only: bool,
    /// The largest image.
    pub max_extent: Extent,
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, at most {}", self.format, self.modifier, self.max_extent)?;
        f.write_str(if self.external_only { ", sampled as an external texture only" } else { "" })
    }
}

/// Does an image for this have a framebuffer?
pub(crate) fn needs_framebuffer(usages: SurfaceUsages) -> bool {
    usages.intersects(FRAMEBUFFER)
}

impl Display {
    /// Every layout of a format in which this display can do all of `usages`, in the driver's order, LINEAR last.
    pub fn supports(&self, format: Format, usages: SurfaceUsages) -> Vec<Support> {
        let report = self.report();
        let has = |name: &str| report.has(name);
        if needs_framebuffer(usages) && !format::is_drawn(format, has) {
            return Vec::new();
        }
        let edge = report.max_size.min(Extent::LARGEST.width().get());
        let Ok(max_extent) = Extent::new(edge, edge) else { return Vec::new() };
        let may_be_external = !needs_framebuffer(usages) && has("GL_OES_EGL_image_external");
        let known = |(modifier, external_only)| Support { format, modifier, external_only, max_extent };
        let mut found: Vec<Support> = self.modifiers(format).into_iter().map(known).collect();
        // Without a modifier nobody but the producer knows the layout.
        found.retain(|support| support.modifier != Modifier::INVALID && (may_be_external || !support.external_only));
        found.sort_by_key(|support| support.modifier == Modifier::LINEAR);
        found
    }

    /// What this display offers a negotiation under a party's name.
    pub fn offer(&self, party: &str, formats: &[Format], usages: SurfaceUsages) -> Offer {
        let entry = |support: Support| OfferEntry {
            stride_align: if support.modifier == Modifier::LINEAR { LINEAR_ALIGN } else { Bytes(1) },
            max_extent: support.max_extent,
            usages,
            ..OfferEntry::new(Some(support.format), support.modifier)
        };
        let entries = formats.iter().flat_map(|format| self.supports(*format, usages)).map(entry).collect();
        Offer { party: party.to_owned(), entries }
    }

    /// A format's modifiers, and whether each is for external textures only. Empty for a format that the driver does not take.
    fn modifiers(&self, format: Format) -> Vec<(Modifier, bool)> {
        let (core, Ok(fourcc)) = (&self.0, c_int::try_from(format.fourcc().0)) else { return Vec::new() };
        if !self.formats().contains(&fourcc) {
            return Vec::new();
        }
        let query = core.images.query_modifiers;
        let mut count = 0;
        // SAFETY: the display is initialised; with no room only the count is written.
        let asked = unsafe { query(core.display(), fourcc, 0, ptr::null_mut(), ptr::null_mut(), &mut count) };
        let room = if asked == 0 { 0 } else { usize::try_from(count).unwrap_or_default() };
        // Filled, because llvmpipe of Mesa 25.0 does not write the second list.
        let (mut modifiers, mut external) = (vec![Modifier::INVALID.0; room], vec![0 as egl::Bool; room]);
        // SAFETY: the display is initialised; both lists have room for as many as is said.
        let asked =
            unsafe { query(core.display(), fourcc, count, modifiers.as_mut_ptr(), external.as_mut_ptr(), &mut count) };
        let filled = if asked == 0 { 0 } else { usize::try_from(count).unwrap_or_default() };
        modifiers.into_iter().map(Modifier).zip(external.into_iter().map(|only| only != 0)).take(filled).collect()
    }

    /// Every format that the driver takes.
    fn formats(&self) -> Vec<c_int> {
        let core = &self.0;
        let query = core.images.query_formats;
        let mut count = 0;
        // SAFETY: the display is initialised; with no room only the count is written.
        let asked = unsafe { query(core.display(), 0, ptr::null_mut(), &mut count) };
        let mut formats = vec![0; if asked == 0 { 0 } else { usize::try_from(count).unwrap_or_default() }];
        // SAFETY: the display is initialised; the list has room for as many as is said.
        let asked = unsafe { query(core.display(), count, formats.as_mut_ptr(), &mut count) };
        formats.truncate(if asked == 0 { 0 } else { usize::try_from(count).unwrap_or_default() });
        formats
    }
}
