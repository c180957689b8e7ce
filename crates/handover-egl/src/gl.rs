//! OpenGL ES, as far as it is used here: what jobs are drawn with.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_float, c_int, c_uint, c_void};

use handover::{Access, Error, Kind, Rect, Result, Stage};

use crate::display::{Core, Display};
use crate::egl::{functions, text};
use crate::error::{device_lost, drawn_wrong, missing};
use crate::image::Image;

pub(crate) const VENDOR: c_uint = 0x1F00;
pub(crate) const RENDERER: c_uint = 0x1F01;
pub(crate) const VERSION: c_uint = 0x1F02;
pub(crate) const EXTENSIONS: c_uint = 0x1F03;
pub(crate) const MAX_TEXTURE_SIZE: c_uint = 0x0D33;
pub(crate) const TEXTURE_2D: c_uint = 0x0DE1;
pub(crate) const TEXTURE_EXTERNAL_OES: c_uint = 0x8D65;
pub(crate) const FRAMEBUFFER: c_uint = 0x8D40;
pub(crate) const COLOR_ATTACHMENT0: c_uint = 0x8CE0;
pub(crate) const FRAMEBUFFER_COMPLETE: c_uint = 0x8CD5;
pub(crate) const RGBA: c_uint = 0x1908;
pub(crate) const UNSIGNED_BYTE: c_uint = 0x1401;
const READ_FRAMEBUFFER: c_uint = 0x8CA8;
const DRAW_FRAMEBUFFER: c_uint = 0x8CA9;
const COLOR_BUFFER_BIT: c_uint = 0x4000;
const SCISSOR_TEST: c_uint = 0x0C11;
const NEAREST: c_uint = 0x2600;

functions! {
    /// OpenGL ES 2 and GL_OES_EGL_image.
    Functions {
        get_string: c"glGetString"(c_uint) -> *const c_char,
        get_integer: c"glGetIntegerv"(c_uint, *mut c_int),
        get_error: c"glGetError"() -> c_uint,
        flush: c"glFlush"(),
        finish: c"glFinish"(),
        gen_textures: c"glGenTextures"(c_int, *mut c_uint),
        delete_textures: c"glDeleteTextures"(c_int, *const c_uint),
        bind_texture: c"glBindTexture"(c_uint, c_uint),
        gen_framebuffers: c"glGenFramebuffers"(c_int, *mut c_uint),
        delete_framebuffers: c"glDeleteFramebuffers"(c_int, *const c_uint),
        bind_framebuffer: c"glBindFramebuffer"(c_uint, c_uint),
        framebuffer_texture: c"glFramebufferTexture2D"(c_uint, c_uint, c_uint, c_uint, c_int),
        check_framebuffer: c"glCheckFramebufferStatus"(c_uint) -> c_uint,
        enable: c"glEnable"(c_uint),
        disable: c"glDisable"(c_uint),
        scissor: c"glScissor"(c_int, c_int, c_int, c_int),
        clear_color: c"glClearColor"(c_float, c_float, c_float, c_float),
        clear: c"glClear"(c_uint),
        read_pixels: c"glReadPixels"(c_int, c_int, c_int, c_int, c_uint, c_uint, *mut c_void),
        image_target_texture: c"glEGLImageTargetTexture2DOES"(c_uint, *mut c_void),
    }
}

functions! {
    /// What OpenGL ES 3 adds.
    Version3 {
        blit: c"glBlitFramebuffer"(c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_uint, c_uint),
        tex_storage: c"glTexStorage2D"(c_uint, c_int, c_uint, c_int, c_int),
    }
}

functions! {
    /// GL_EXT_robustness.
    Robustness {
        reset_status: c"glGetGraphicsResetStatusEXT"() -> c_uint,
    }
}

impl Functions {
    pub(crate) fn string(&self, name: c_uint) -> String {
        // SAFETY: a context is current; unknown names give null.
        text(unsafe { (self.get_string)(name) })
    }

    pub(crate) fn integer(&self, name: c_uint) -> c_int {
        let mut value = 0;
        // SAFETY: a context is current, and what is asked for here is one number.
        unsafe { (self.get_integer)(name, &mut value) };
        value
    }
}

impl Core {
    /// Forgets what OpenGL ES noted so far, and gives the first of it.
    pub(crate) fn noted(&self) -> Result<Option<Error>> {
        let gl = self.gl()?;
        // SAFETY: a context is current.
        let reset = self.robust.as_ref().map_or(0, |robust| unsafe { (robust.reset_status)() });
        let mut first = (reset != 0).then(device_lost);
        // A context that is lost may answer for ever.
        for _ in 0..32 {
            // SAFETY: a context is current.
            match unsafe { (gl.get_error)() } {
                0 => break,
                code => first = first.or_else(|| Some(drawn_wrong(code))),
            }
        }
        Ok(first)
    }
}

/// What a job is drawn with. Its context is current; commands of a binding of the caller's go to the same one.
pub struct Gl<'a> {
    pub(crate) display: &'a Display,
    pub(crate) set: &'a [(&'a Image, Access)],
}

impl std::fmt::Debug for Gl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gl").field(&self.display).finish()
    }
}

impl Gl<'_> {
    /// The display.
    pub fn display(&self) -> &Display {
        self.display
    }

    /// Fills `rect` of an image; x and y count from the first pixel in memory. Red, green, blue and alpha are from 0 to 1.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: an image that is not in the job's set, or there to be read only, that was not made for drawing, or that ends before the rectangle.
    pub fn fill(&self, image: &Image, rect: Rect, [red, green, blue, alpha]: [f32; 4]) -> Result<()> {
        let (framebuffer, [x, y, width, height]) = (self.framebuffer(image, Access::Write)?, numbers(image, rect)?);
        let gl = self.display.0.gl()?;
        // SAFETY: the context is current, and the framebuffer one of it.
        unsafe { (gl.bind_framebuffer)(FRAMEBUFFER, framebuffer) };
        // SAFETY: the context is current.
        unsafe { (gl.enable)(SCISSOR_TEST) };
        // SAFETY: the context is current.
        unsafe { (gl.scissor)(x, y, width, height) };
        // SAFETY: the context is current.
        unsafe { (gl.clear_color)(red, green, blue, alpha) };
        // SAFETY: the framebuffer is complete, and the scissor within it.
        unsafe { (gl.clear)(COLOR_BUFFER_BIT) };
        // SAFETY: the context is current.
        unsafe { (gl.disable)(SCISSOR_TEST) };
        Ok(())
    }

    /// Copies a rectangle of one image to one of another, larger or smaller by leaving pixels out or doubling them.
    ///
    /// # Errors
    /// As [`fill`](Self::fill). [`Kind::Unsupported`]: OpenGL ES 2.
    pub fn copy(&self, (from, source): (&Image, Rect), (to, target): (&Image, Rect)) -> Result<()> {
        let (read, draw) = (self.framebuffer(from, Access::Read)?, self.framebuffer(to, Access::Write)?);
        let [x, y, width, height] = numbers(from, source)?;
        let [to_x, to_y, to_width, to_height] = numbers(to, target)?;
        let gl = self.display.0.gl()?;
        let more = self.display.0.version_3(Stage::Access)?;
        // SAFETY: the context is current, and the framebuffer one of it.
        unsafe { (gl.bind_framebuffer)(READ_FRAMEBUFFER, read) };
        // SAFETY: the context is current, and the framebuffer one of it.
        unsafe { (gl.bind_framebuffer)(DRAW_FRAMEBUFFER, draw) };
        // SAFETY: both framebuffers are complete; OpenGL ES notes an error where it cannot copy between them.
        unsafe {
            (more.blit)(
                x,
                y,
                x + width,
                y + height,
                to_x,
                to_y,
                to_x + to_width,
                to_y + to_height,
                COLOR_BUFFER_BIT,
                NEAREST,
            );
        }
        Ok(())
    }

    fn framebuffer(&self, image: &Image, access: Access) -> Result<c_uint> {
        let invalid = |found: &'static str, help: &'static str| {
            Error::new(Stage::Access, Kind::Invalid).asked("to draw with an image").found(found).help(help)
        };
        let has = |(one, its): &(&Image, Access)| *one == image && (access == Access::Read || *its == Access::Write);
        if !self.set.iter().any(has) {
            return Err(invalid("one that the job did not acquire for that", "name it in the job's set"));
        }
        image.framebuffer().ok_or_else(|| invalid("one that is only sampled", "Display::image with RENDER"))
    }
}

impl Core {
    /// OpenGL ES 3.
    pub(crate) fn version_3(&self, stage: Stage) -> Result<&Version3> {
        let lacks = || missing(stage, "textures of fixed size, and copies", "OpenGL ES 3", &self.report.to_string());
        self.version_3.as_ref().ok_or_else(lacks)
    }
}

/// A rectangle of an image as OpenGL ES counts: x, y, width, height. Row 0 of a texture is the first in memory.
fn numbers(image: &Image, rect: Rect) -> Result<[c_int; 4]> {
    let within = image.surface().layout().extent().is_some_and(|extent| rect.within(extent));
    let numbers =
        [rect.x(), rect.y(), rect.extent().width(), rect.extent().height()].map(|px| c_int::try_from(px.get()));
    match numbers {
        [Ok(x), Ok(y), Ok(width), Ok(height)] if within => Ok([x, y, width, height]),
        _ => Err(Error::new(Stage::Access, Kind::Invalid)
            .asked("a rectangle of an image")
            .found("an image that ends before it")),
    }
}
