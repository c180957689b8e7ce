//! The pixels of a texture, as both sides get at them.

use handover::{Error, Extent, Format, Kind, Lease, Result, Stage, Surface};

use crate::draw::Pixels;
use crate::media::colour::PIXEL;
use crate::participant::pixels::{from_memory, to_memory};

/// The format and the extent of a texture. What was imported may be anything, so a surface that cannot be drawn is refused.
pub(super) fn image_of(texture: &Surface) -> Result<(Format, Extent)> {
    let is_drawn = |format: Format| matches!(format.planes(), [plane] if plane.bytes_per_element.get() == PIXEL as u64);
    let image = texture.format().zip(texture.layout().extent());
    image.filter(|(format, _)| is_drawn(*format)).ok_or_else(|| {
        let found =
            texture.format().map_or("a surface without a format".into(), |format| format!("pixels of {format}"));
        Error::new(Stage::Access, Kind::Unsupported)
            .asked(format!("a texture of one plane and {PIXEL} bytes a pixel"))
            .found(found)
            .why("both sides of an interop draw that alone")
            .help("XRGB8888, ARGB8888, XBGR8888 or ABGR8888 as the format of the exporter")
    })
}

/// All of it.
pub(super) fn read(lease: &Lease, texture: &Surface) -> Result<Pixels> {
    let (format, extent) = image_of(texture)?;
    let mut picture = Pixels::new(extent);
    let stride = picture.stride();
    lease.read(texture)?.read_image(0, picture.bytes_mut(), stride)?;
    from_memory(format, picture.bytes_mut());
    Ok(picture)
}

/// All of it, pixel by pixel: a shader clears nothing.
pub(super) fn write(lease: &Lease, texture: &Surface, picture: &Pixels) -> Result<()> {
    let (format, _) = image_of(texture)?;
    lease.write(texture)?.write_image(0, &to_memory(format, picture.bytes()), picture.stride())
}
