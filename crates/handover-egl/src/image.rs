//! Surfaces as textures: by modifier, with every plane where the layout says.
//!
//! # Contract: what an image owns
//!
//! - An image holds its surface, so the memory outlives it, and the surface knows nothing of the image: the same surface may be an
//!   image of several displays at once.
//! - OpenGL ES keeps what its commands use until they have ended, so an image may go as soon as a job was submitted.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::fmt;
use std::os::fd::AsRawFd;
use std::ptr;
use std::rc::Rc;

use handover::negotiate::SurfaceUsages;
use handover::{Bytes, Device, Error, Handle, Kind, Layout, MemoryKind, Result, Stage, Surface, import};

use crate::display::{Core, Display};
use crate::egl;
use crate::error::not_taken;
use crate::gl;
use crate::offer::{Support, needs_framebuffer};
use crate::texture::Texture;

/// A surface as a texture of a display. Clones are the same image.
#[derive(Clone)]
pub struct Image(Rc<Inner>);

struct Inner {
    core: Rc<Core>,
    surface: Surface,
    image: egl::Handle,
    /// 0: not made yet.
    texture: c_uint,
    /// What it is bound to.
    target: c_uint,
    /// 0: not made for drawing.
    framebuffer: c_uint,
    /// The texture, where that was there before the image.
    exported: Option<Texture>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("display", &self.0.core.report.renderer)
            .field("surface", &self.0.surface.id())
            .finish()
    }
}

/// Is it the same image?
impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Image {}

impl Image {
    /// The surface.
    pub fn surface(&self) -> &Surface {
        &self.0.surface
    }

    /// Is it an image of this display?
    pub fn is_of(&self, display: &Display) -> bool {
        Rc::ptr_eq(&self.0.core, &display.0)
    }

    /// The texture's name in the display's context, and what to bind it to: `GL_TEXTURE_2D`, or `GL_TEXTURE_EXTERNAL_OES` where the
    /// driver can only sample. It lives as long as this. Bind it in the job: that is when the driver looks at the memory anew.
    pub fn texture(&self) -> (u32, u32) {
        (self.0.texture, self.0.target)
    }

    /// The framebuffer's name, if it was made to be drawn to or copied from.
    pub fn framebuffer(&self) -> Option<u32> {
        (self.0.framebuffer != 0).then_some(self.0.framebuffer)
    }

    /// What draws, in words.
    pub(crate) fn renderer(&self) -> &str {
        &self.0.core.report.renderer
    }

    /// Red, green, blue and alpha of the first pixel in memory.
    pub(crate) fn first_pixel(&self) -> Result<[u8; 4]> {
        let (core, mut pixel) = (&self.0.core, [0_u8; 4]);
        let gl = core.gl()?;
        core.noted()?;
        // SAFETY: the context is current, and the framebuffer one of it.
        unsafe { (gl.bind_framebuffer)(gl::FRAMEBUFFER, self.0.framebuffer) };
        // SAFETY: a framebuffer is bound, and there is room for the four bytes of a pixel.
        unsafe { (gl.read_pixels)(0, 0, 1, 1, gl::RGBA, gl::UNSIGNED_BYTE, pixel.as_mut_ptr().cast()) };
        core.noted()?.map_or(Ok(pixel), Err)
    }

    /// Around a texture of our own that was exported.
    pub(crate) fn exported(display: &Display, texture: Texture, image: egl::Handle, surface: Surface) -> Result<Self> {
        let core = Rc::clone(&display.0);
        let (name, target) = (texture.name(), gl::TEXTURE_2D);
        let made = Inner { core, surface, image, texture: name, target, framebuffer: 0, exported: Some(texture) };
        Ok(Self(Rc::new(made.with_framebuffer()?)))
    }
}

impl Display {
    /// Imports what a producer exported, as an image of this display.
    ///
    /// # Errors
    /// Those of [`import()`](handover::import()) and of [`Display::image`].
    pub fn import(&self, handle: Handle, usages: SurfaceUsages) -> Result<Image> {
        self.image(&import(handle, Device::DRIVER)?, usages)
    }

    /// Makes an image of a surface, to do `usages` with. The surface's memory is imported; its pixels stay where they are.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the surface lives in a memfd, or the driver cannot do that with its format and modifier, or does not
    /// take its planes as they lie.
    pub fn image(&self, surface: &Surface, usages: SurfaceUsages) -> Result<Image> {
        let core = &self.0;
        let unsupported = |asked: String| Error::new(Stage::Import, Kind::Unsupported).asked(asked);
        if surface.memory_kind() != MemoryKind::DmaBuf {
            return Err(unsupported(format!("an image of {}", core.report.renderer))
                .found("a surface in a memfd, which only CPUs reach")
                .help("allocate it from a backend of linux"));
        }
        let support = self.support_of(surface.layout(), usages)?;
        if core.report.is_software {
            check_for_software(surface)?;
        }
        let attributes = attributes(surface)?;
        let what = format!("import {} {} into {}", support.format, support.modifier, core.report.renderer);
        core.gl()?;
        let none = ptr::null_mut();
        // SAFETY: the display is initialised, an image of a dma-buf has neither context nor buffer, and the list has its end.
        let image =
            unsafe { (core.images.create)(core.display(), none, egl::LINUX_DMA_BUF_EXT, none, attributes.as_ptr()) };
        if image.is_null() {
            return Err(not_taken(core.error(), what));
        }
        let target = if support.external_only { gl::TEXTURE_EXTERNAL_OES } else { gl::TEXTURE_2D };
        let (core, surface) = (Rc::clone(core), surface.clone());
        let made = Inner { core, surface, image, texture: 0, target, framebuffer: 0, exported: None };
        let made = made.with_texture(&what)?;
        Ok(Image(Rc::new(if needs_framebuffer(usages) { made.with_framebuffer()? } else { made })))
    }

    /// What the driver can do with a layout, or why it cannot.
    fn support_of(&self, layout: &Layout, usages: SurfaceUsages) -> Result<Support> {
        let stage = Stage::Import;
        let (Some(format), Some(size)) = (layout.format(), layout.extent()) else {
            return Err(Error::new(stage, Kind::Invalid).asked("an image").found("a surface that is a byte buffer"));
        };
        let asked = format!("an image of {format} {}, {size}, for {usages:?}", layout.modifier());
        let unsupported = |found: String| Error::new(stage, Kind::Unsupported).asked(asked).found(found);
        let supports = self.supports(format, usages);
        let renderer = &self.0.report.renderer;
        match supports.iter().find(|support| support.modifier == layout.modifier()) {
            Some(support) if size.fits(support.max_extent) => Ok(*support),
            Some(support) => Err(unsupported(format!("{renderer}, which does at most {}", support.max_extent))),
            None if supports.is_empty() => Err(unsupported(format!("{renderer}, which cannot with this format"))
                .help("negotiate a format that the display offers: Display::offer")),
            None => {
                let known: Vec<_> = supports.iter().map(|support| support.modifier.to_string()).collect();
                Err(unsupported(format!("{renderer}, which knows {}", known.join(", ")))
                    .help("negotiate with the display's own offer: Display::offer"))
            }
        }
    }
}

/// What a renderer on the CPU takes for granted of imported rows and does not check: llvmpipe of Mesa 25.0 reads and writes back blocks
/// of 4 × 4 pixels, with instructions for 16 aligned bytes, and ends the process where they reach beyond the memory.
fn check_for_software(surface: &Surface) -> Result<()> {
    let layout = surface.layout();
    let (Some(format), Some(extent)) = (layout.format(), layout.extent()) else { return Ok(()) };
    for (index, (plane, shape)) in layout.planes().iter().zip(format.planes()).enumerate() {
        let block = Bytes(shape.bytes_per_element.get().saturating_mul(BLOCK)).max(SIMD);
        let rows = format.plane_extent(index, extent).map_or(0, |(_, rows)| u64::from(rows).next_multiple_of(BLOCK));
        let end = plane.stride.checked_mul(rows).and_then(|size| size.checked_add(plane.offset));
        let fits = end.is_some_and(|end| end <= surface.memory_size());
        if !fits || !plane.stride.is_aligned(block) || !plane.offset.is_aligned(SIMD) {
            return Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked(format!(
                    "plane {index} at {}, rows {} apart, in {}",
                    plane.offset,
                    plane.stride,
                    surface.memory_size()
                ))
                .found("a renderer on the CPU")
                .why(format!("it draws in blocks: offsets of {SIMD}, strides of {block}, memory for {rows} rows"))
                .help("negotiate with the display's own offer, and a height that is a multiple of 4"));
        }
    }
    Ok(())
}

/// Rows and columns of a block.
const BLOCK: u64 = 4;
/// Bytes of an aligned load.
const SIMD: Bytes = Bytes(16);

/// A surface in EGL's words.
fn attributes(surface: &Surface) -> Result<Vec<c_int>> {
    let layout = surface.layout();
    let too_large = || {
        Error::new(Stage::Import, Kind::Unsupported)
            .asked("EGL to import a surface")
            .found("a number of its layout that EGL cannot say")
            .why("EGL's numbers have 31 bits")
    };
    let number = |number: u64| c_int::try_from(number).map_err(|_| too_large());
    let (Some(format), Some(extent)) = (layout.format(), layout.extent()) else { return Err(too_large()) };
    let fourcc = number(format.fourcc().0.into())?;
    let (width, height) = (number(extent.width().get().into())?, number(extent.height().get().into())?);
    let mut list = vec![egl::WIDTH, width, egl::HEIGHT, height, egl::LINUX_DRM_FOURCC_EXT, fourcc];
    let modifier = layout.modifier().0;
    // Halves of a word, as the bits they are.
    let halves = [modifier as u32, (modifier >> 32) as u32].map(u32::cast_signed);
    for (plane, [fd, offset, pitch, low, high]) in layout.planes().iter().zip(egl::PLANES) {
        list.extend([fd, surface.pixels_fd().as_raw_fd()]);
        list.extend([offset, number(plane.offset.get())?, pitch, number(plane.stride.get())?]);
        list.extend([low, halves[0], high, halves[1]]);
    }
    list.push(egl::NONE);
    Ok(list)
}

impl Inner {
    fn with_texture(mut self, what: &str) -> Result<Self> {
        let core = Rc::clone(&self.core);
        let gl = core.gl()?;
        core.noted()?;
        // SAFETY: the context is current, and there is room for one name.
        unsafe { (gl.gen_textures)(1, &mut self.texture) };
        // SAFETY: the context is current, and the name new.
        unsafe { (gl.bind_texture)(self.target, self.texture) };
        // SAFETY: a texture of this target is bound, and the image is one of this display.
        unsafe { (gl.image_target_texture)(self.target, self.image) };
        match core.noted()? {
            None => Ok(self),
            Some(error) => Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked(format!("OpenGL ES to {what}, as a texture"))
                .found(error.to_string())
                .why("the driver takes the buffer, but no texture of it")),
        }
    }

    fn with_framebuffer(mut self) -> Result<Self> {
        let core = Rc::clone(&self.core);
        let gl = core.gl()?;
        // SAFETY: the context is current, and there is room for one name.
        unsafe { (gl.gen_framebuffers)(1, &mut self.framebuffer) };
        // SAFETY: the context is current, and the name new.
        unsafe { (gl.bind_framebuffer)(gl::FRAMEBUFFER, self.framebuffer) };
        let (place, texture) = (gl::COLOR_ATTACHMENT0, self.texture);
        // SAFETY: a framebuffer is bound, and the texture is one of this context.
        unsafe { (gl.framebuffer_texture)(gl::FRAMEBUFFER, place, self.target, texture, 0) };
        // SAFETY: a framebuffer is bound.
        let status = unsafe { (gl.check_framebuffer)(gl::FRAMEBUFFER) };
        if status == gl::FRAMEBUFFER_COMPLETE {
            return Ok(self);
        }
        Err(Error::new(Stage::Import, Kind::Unsupported)
            .asked(format!("to draw to {} on {}", self.surface.layout().modifier(), core.report.renderer))
            .found(format!("a framebuffer in status {status:#x}"))
            .why("the driver can only sample it")
            .help("negotiate with the display's own offer: Display::offer"))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Ok(gl) = self.core.gl() {
            // SAFETY: the context is current, and the name ours; 0 is ignored.
            unsafe { (gl.delete_framebuffers)(1, &self.framebuffer) };
            if self.exported.is_none() {
                // SAFETY: the context is current, and the name ours; 0 is ignored.
                unsafe { (gl.delete_textures)(1, &self.texture) };
            }
        }
        // SAFETY: the image is ours; textures of it keep what they need.
        unsafe { (self.core.images.destroy)(self.core.display(), self.image) };
    }
}
