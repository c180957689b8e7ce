//! Export: a texture's memory as a dma-buf, and a surface around it.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::{c_int, c_uint};
use std::fmt;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::ptr;
use std::rc::Rc;

use handover::{
    Bytes, Device, Error, Extent, Format, Fourcc, Kind, Layout, Modifier, Options, PlaneLayout, Result, Stage, allocate,
};

use crate::display::{Core, Display};
use crate::egl;
use crate::error::{missing, refused};
use crate::format;
use crate::gl;
use crate::image::Image;

const MOST_PLANES: usize = egl::PLANES.len();
const STAGE: Stage = Stage::Allocate;

/// A texture of two dimensions and one level, for which the driver has found memory. Clones are the same texture.
#[derive(Clone)]
pub struct Texture(Rc<Inner>);

struct Inner {
    core: Rc<Core>,
    name: c_uint,
    extent: Extent,
    is_ours: bool,
}

impl fmt::Debug for Texture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texture").field("name", &self.0.name).field("extent", &self.0.extent).finish()
    }
}

impl Texture {
    /// Its name in the display's context.
    pub fn name(&self) -> u32 {
        self.0.name
    }

    /// Width and height.
    pub fn extent(&self) -> Extent {
        self.0.extent
    }
}

impl Display {
    /// Makes a texture that holds a format's channels. In which order they lie in memory, the driver decides: the exported surface
    /// says it (Mesa stores ARGB8888 as ABGR8888). Its content is what was in memory.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: a format that OpenGL ES has no texture of, or OpenGL ES 2. [`Kind::Os`]: no memory, or too large.
    pub fn texture(&self, format: Format, extent: Extent) -> Result<Texture> {
        let core = &self.0;
        let unsupported =
            |asked: String| Error::new(STAGE, Kind::Unsupported).asked(asked).found(core.report.to_string());
        let internal = format::stored(format, |name| core.report.has(name))
            .ok_or_else(|| unsupported(format!("a texture of {format}")).help("import a surface of this format"))?;
        let edges = [extent.width(), extent.height()].map(|px| c_int::try_from(px.get()).unwrap_or(c_int::MAX));
        let more = core.version_3(STAGE)?;
        let gl = core.gl()?;
        core.noted()?;
        let mut name = 0;
        // SAFETY: the context is current, and there is room for one name.
        unsafe { (gl.gen_textures)(1, &mut name) };
        let texture = Texture(Rc::new(Inner { core: Rc::clone(core), name, extent, is_ours: true }));
        // SAFETY: the context is current, and the name new.
        unsafe { (gl.bind_texture)(gl::TEXTURE_2D, name) };
        // SAFETY: a texture of this target is bound.
        unsafe { (more.tex_storage)(gl::TEXTURE_2D, 1, internal, edges[0], edges[1]) };
        core.noted()?.map_or(Ok(texture), |error| Err(error.at(STAGE)))
    }

    /// A texture of the caller's own binding, which stays the caller's. OpenGL ES does not say in every version how large one is, so
    /// the caller does.
    pub fn texture_of(&self, name: u32, extent: Extent) -> Texture {
        Texture(Rc::new(Inner { core: Rc::clone(&self.0), name, extent, is_ours: false }))
    }

    /// Makes a surface of a texture's memory, in the layout that the driver has chosen, with its image. Of the options, the backend,
    /// the compression and the count do not matter.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the driver hands no textures out, or this one not, or not in one buffer, or in a layout without a
    /// modifier. [`Kind::Invalid`]: a texture of another display.
    pub fn export(&self, texture: &Texture, options: &Options) -> Result<Image> {
        let core = &self.0;
        if !Rc::ptr_eq(&texture.0.core, core) {
            return Err(Error::new(STAGE, Kind::Invalid).asked("to export a texture").found("one of another display"));
        }
        let what = "a texture as a dma-buf";
        let lacks = |name| missing(STAGE, what, name, &core.report.to_string());
        let exports = core.exports.as_ref().ok_or_else(|| lacks("EGL_MESA_image_dma_buf_export"))?;
        if !core.report.has("EGL_KHR_gl_texture_2D_image") {
            return Err(lacks("EGL_KHR_gl_texture_2D_image"));
        }
        let image = Bare::new(core, texture)?;
        let (format, modifier, count) = image.query(exports)?;
        let (buffer, places) = image.fetch(exports, count)?;
        let (buffer, memory) = measured(buffer)?;
        let planes: Vec<PlaneLayout> = places
            .into_iter()
            .enumerate()
            .map(|(index, (offset, stride))| PlaneLayout {
                offset,
                stride,
                size: plane_size(index, offset, stride, (format, modifier, texture.extent()), memory),
            })
            .collect();
        let layout = Layout::from_allegation(Some(format), Some(texture.extent()), modifier, &planes, memory)
            .map_err(|error| error.at(STAGE))?;
        let surface = allocate::adopt(Device::DRIVER, &layout, vec![buffer], options)?.into_iter().next();
        let surface = surface.ok_or_else(|| Error::new(STAGE, Kind::Unreachable))?;
        Image::exported(self, texture.clone(), image.keep(), surface)
    }
}

/// An image of a texture that is not yet part of an [`Image`].
struct Bare<'a> {
    core: &'a Core,
    image: egl::Handle,
}

impl<'a> Bare<'a> {
    fn new(core: &'a Core, texture: &Texture) -> Result<Self> {
        core.gl()?;
        let name = ptr::without_provenance_mut(texture.name() as usize);
        let list = [egl::NONE];
        // SAFETY: the context is this display's and current; EGL refuses a name that is no texture; the list has its end.
        let image = unsafe {
            (core.images.create)(core.display(), core.context(), egl::GL_TEXTURE_2D_KHR, name, list.as_ptr())
        };
        match image.is_null() {
            true => Err(refused(STAGE, core.error(), "make an image of a texture")),
            false => Ok(Self { core, image }),
        }
    }

    /// Format, modifier and count of planes, as the driver has chosen them.
    fn query(&self, exports: &egl::Exports) -> Result<(Format, Modifier, usize)> {
        let core = self.core;
        let (mut fourcc, mut count) = (0, 0);
        // SAFETY: the image is one of this display; without a list of modifiers only the two numbers are written.
        let asked = unsafe { (exports.query)(core.display(), self.image, &mut fourcc, &mut count, ptr::null_mut()) };
        let unsupported =
            |found: String| Error::new(STAGE, Kind::Unsupported).asked("a texture as a dma-buf").found(found);
        let planes = usize::try_from(count).unwrap_or_default();
        if asked == 0 || planes == 0 || planes > MOST_PLANES {
            return Err(unsupported(format!("{count} planes, from {}", core.report)));
        }
        let mut modifiers = [Modifier::INVALID.0; MOST_PLANES];
        // SAFETY: the image is one of this display, and there is room for a modifier a plane.
        let asked =
            unsafe { (exports.query)(core.display(), self.image, &mut fourcc, &mut count, modifiers.as_mut_ptr()) };
        let modifier = if asked == 0 { Modifier::INVALID } else { Modifier(modifiers[0]) };
        if modifier == Modifier::INVALID {
            return Err(unsupported(format!("no modifier, from {}", core.report))
                .why("without one nobody but this driver knows the layout")
                .help("let somebody else allocate, and import"));
        }
        let fourcc = Fourcc(u32::from_ne_bytes(fourcc.to_ne_bytes()));
        let format = Format::from_fourcc(fourcc).ok_or_else(|| unsupported(format!("the format {fourcc}")))?;
        Ok((format, modifier, planes))
    }

    /// The one buffer, and every plane's offset and stride.
    fn fetch(&self, exports: &egl::Exports, count: usize) -> Result<(OwnedFd, Vec<(Bytes, Bytes)>)> {
        let core = self.core;
        let (mut fds, mut strides, mut offsets) = ([-1; MOST_PLANES], [0; MOST_PLANES], [0; MOST_PLANES]);
        let [fd, stride, offset] = [&mut fds, &mut strides, &mut offsets].map(|list| list.as_mut_ptr());
        // SAFETY: the image is one of this display, and each list has room for as many planes as it has.
        if unsafe { (exports.export)(core.display(), self.image, fd, stride, offset) } == 0 {
            return Err(Error::new(STAGE, Kind::Unsupported)
                .asked("a texture as a dma-buf")
                .found(refused(STAGE, core.error(), "export it").to_string())
                .why("the driver hands some textures out, but not this one")
                .help("let somebody else allocate, and import"));
        }
        // A plane in the buffer of another has the same number, or none.
        let distinct: BTreeSet<c_int> = fds.into_iter().take(count).filter(|fd| *fd >= 0).collect();
        // SAFETY: the call gave descriptors that nobody else owns, and the set has each once.
        let mut files = distinct.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect::<Vec<_>>();
        let identity = |file: &OwnedFd| {
            let file = File::from(file.try_clone()?).metadata()?;
            Ok((file.dev(), file.ino()))
        };
        let os = |error: std::io::Error| {
            Error::new(STAGE, Kind::Os).asked("which buffer a descriptor is").found(error.to_string())
        };
        let buffers = files.iter().map(identity).collect::<Result<BTreeSet<_>, _>>().map_err(os)?.len();
        let first = files.drain(..).next();
        let (Some(first), 1) = (first, buffers) else {
            return Err(Error::new(STAGE, Kind::Unsupported)
                .asked("a texture as one dma-buf")
                .found(format!("{count} planes in {buffers} buffers"))
                .why("a surface has one memory")
                .help("let somebody else allocate, and import"));
        };
        let bytes = |number: c_int| {
            let negative = || Error::new(STAGE, Kind::Malformed).asked("where a plane lies").found(number.to_string());
            u64::try_from(number).map(Bytes).map_err(|_| negative())
        };
        let places = offsets.into_iter().zip(strides).take(count);
        let places = places.map(|(offset, stride)| Ok((bytes(offset)?, bytes(stride)?))).collect::<Result<_>>()?;
        Ok((first, places))
    }

    fn keep(self) -> egl::Handle {
        let image = self.image;
        std::mem::forget(self);
        image
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        // SAFETY: the image is ours.
        unsafe { (self.core.images.destroy)(self.core.display(), self.image) };
    }
}

/// A dma-buf and its size.
fn measured(buffer: OwnedFd) -> Result<(OwnedFd, Bytes)> {
    let mut file = File::from(buffer);
    let size = file.seek(SeekFrom::End(0));
    let size =
        size.map_err(|error| Error::new(STAGE, Kind::Os).asked("the size of a dma-buf").found(error.to_string()))?;
    Ok((file.into(), Bytes(size)))
}

/// No driver says how large a plane is: the rows of a linear one, otherwise all up to the end of the memory.
fn plane_size(
    index: usize,
    offset: Bytes,
    stride: Bytes,
    (format, modifier, extent): (Format, Modifier, Extent),
    memory: Bytes,
) -> Bytes {
    let rows = format.plane_extent(index, extent).map(|(_, rows)| u64::from(rows));
    match (modifier, rows.and_then(|rows| stride.checked_mul(rows))) {
        (Modifier::LINEAR, Some(size)) => size,
        _ => memory.checked_sub(offset).unwrap_or_default(),
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let (true, Ok(gl)) = (self.is_ours, self.core.gl()) {
            // SAFETY: the context is current, and the name ours.
            unsafe { (gl.delete_textures)(1, &self.name) };
        }
    }
}
