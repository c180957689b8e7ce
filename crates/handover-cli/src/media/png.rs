//! PNG files of XRGB8888 pixels.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use handover::Extent;

use super::colour::PIXEL;
use super::{Error, Kind, Result};

/// Writes an RGB picture of `xrgb` (rows without padding) to `path`, under a temporary name first: a file of this name
/// is whole.
///
/// # Errors
/// `Malformed` if `xrgb` has not exactly the pixels of `extent`; `Unreadable` if the file cannot be written.
pub fn write(path: &Path, extent: Extent, xrgb: &[u8]) -> Result<()> {
    let bytes = encode(extent, xrgb)?;
    let name = path.display().to_string();
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).map_err(|error| {
        // What is left of a full disk helps nobody; if it cannot be removed either, the first error is the one to tell.
        let _ = fs::remove_file(&part);
        Error::unreadable(name, &error)
    })
}

/// The bytes of a PNG file of these pixels, rows without padding; x is dropped.
///
/// # Errors
/// `Malformed` if `xrgb` has not exactly the pixels of `extent`.
pub fn encode(extent: Extent, xrgb: &[u8]) -> Result<Vec<u8>> {
    let (width, height) = super::i420::size(extent);
    if xrgb.len() != width * height * PIXEL {
        let found = format!("{} bytes for {extent} of {PIXEL} bytes each", xrgb.len());
        return Err(Error::new(Kind::Malformed, "the picture", found));
    }
    let rgb: Vec<u8> =
        xrgb.as_chunks::<PIXEL>().0.iter().flat_map(|[blue, green, red, _]| [*red, *green, *blue]).collect();
    let mut bytes = Vec::new();
    let failed = |error: png::EncodingError| Error::new(Kind::Codec, "the PNG encoder", error.to_string());
    let mut encoder = png::Encoder::new(&mut bytes, extent.width().get(), extent.height().get());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&rgb).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// Reads back what [`write()`] wrote: extent, and XRGB8888 rows without padding (x is 255).
///
/// # Errors
/// `Unreadable` if the file cannot be read, `Malformed` if it is no PNG, `Unsupported` if it is not 8-bit RGB or too large.
pub fn read(path: &Path) -> Result<(Extent, Vec<u8>)> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| Error::unreadable(&name, &error))?;
    let malformed = |error: png::DecodingError| Error::new(Kind::Malformed, &name, error.to_string());
    let unsupported = |found: String| Error::new(Kind::Unsupported, &name, found);
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().map_err(malformed)?;
    let info = reader.info();
    let extent = Extent::new(info.width, info.height).map_err(|error| unsupported(error.to_string()))?;
    if (info.color_type, info.bit_depth) != (png::ColorType::Rgb, png::BitDepth::Eight) {
        return Err(unsupported(format!("{:?} of {:?} bits", info.color_type, info.bit_depth)).help("8-bit RGB"));
    }
    let mut rgb = vec![0; reader.output_buffer_size().ok_or_else(|| unsupported("more than fits memory".into()))?];
    reader.next_frame(&mut rgb).map_err(malformed)?;
    Ok((extent, rgb.as_chunks::<3>().0.iter().flat_map(|[red, green, blue]| [*blue, *green, *red, 255]).collect()))
}
