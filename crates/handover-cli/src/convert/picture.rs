//! PNG files as rows of pixels of a format, without padding.

use std::io::Cursor;
use std::path::Path;

use handover::{Extent, Format};
use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};

/// The signature that every PNG file begins with.
const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
/// What a decoder may take, for pictures that are as large as they say.
const MOST_MEMORY: usize = 1 << 31;

/// The formats whose pixels a PNG file can hold.
const FORMATS: [(Format, Pixels); 9] = [
    (Format::XRGB8888, Pixels::Bgrx),
    (Format::ARGB8888, Pixels::Bgra),
    (Format::XBGR8888, Pixels::Rgbx),
    (Format::ABGR8888, Pixels::Rgba),
    (Format::XRGB2101010, Pixels::Bgrx10),
    (Format::ARGB2101010, Pixels::Bgra10),
    (Format::RGB565, Pixels::Rgb565),
    (Format::R8, Pixels::Grey8),
    (Format::R16, Pixels::Grey16),
];

/// Those formats, by the order of their bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pixels {
    Bgrx,
    Bgra,
    Rgbx,
    Rgba,
    Bgrx10,
    Bgra10,
    Rgb565,
    Grey8,
    Grey16,
}

/// Rows of pixels.
pub(super) struct Picture {
    pub(super) extent: Extent,
    pub(super) rows: Vec<u8>,
}

/// Red, green, blue, alpha, in 16 bits each.
type Colour = [u16; 4];

/// Refuses a format that no PNG file can hold.
pub(super) fn pixels(format: Format) -> Result<Pixels, String> {
    FORMATS.iter().find(|(known, _)| *known == format).map(|(_, pixels)| *pixels).ok_or_else(|| {
        let names: Vec<_> = FORMATS.iter().map(|(format, _)| format.name()).collect();
        format!("--format {format}: a PNG file cannot hold it; what it can hold is {}", names.join(", "))
    })
}

pub(super) fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(&SIGNATURE)
}

/// Reads a PNG file of any kind. `path` is for messages.
pub(super) fn decode(path: &Path, bytes: &[u8], pixels: Pixels) -> Result<Picture, String> {
    let malformed = |error: png::DecodingError| format!("{}: {error}", path.display());
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MOST_MEMORY });
    // Palettes and small depths become colours of 8 bits.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(malformed)?;
    let size = reader.output_buffer_size().filter(|size| *size <= MOST_MEMORY);
    let mut samples = vec![0; size.ok_or_else(|| format!("{}: it does not fit memory", path.display()))?];
    let frame = reader.next_frame(&mut samples).map_err(malformed)?;
    let extent = Extent::new(frame.width, frame.height).map_err(|error| format!("{}: {error}", path.display()))?;
    let depth = if frame.bit_depth == BitDepth::Sixteen { 2 } else { 1 };
    let mut rows = Vec::new();
    for pixel in samples.chunks_exact(depth * frame.color_type.samples()) {
        let samples: Vec<u16> = pixel.chunks_exact(depth).map(sample).collect();
        let colour = match *samples.as_slice() {
            [grey] => [grey, grey, grey, u16::MAX],
            [grey, alpha] => [grey, grey, grey, alpha],
            [red, green, blue] => [red, green, blue, u16::MAX],
            [red, green, blue, alpha] => [red, green, blue, alpha],
            _ => return Err(format!("{}: pixels of {} samples", path.display(), samples.len())),
        };
        pack(pixels, colour, &mut rows);
    }
    Ok(Picture { extent, rows })
}

/// The bytes of a PNG file: grey for R8 and R16, with alpha where the format has it.
pub(super) fn encode(pixels: Pixels, picture: &Picture) -> Result<Vec<u8>, String> {
    let (kind, depth, element) = match pixels {
        Pixels::Bgra | Pixels::Rgba => (ColorType::Rgba, BitDepth::Eight, 4),
        Pixels::Bgrx | Pixels::Rgbx => (ColorType::Rgb, BitDepth::Eight, 4),
        Pixels::Bgrx10 => (ColorType::Rgb, BitDepth::Sixteen, 4),
        Pixels::Bgra10 => (ColorType::Rgba, BitDepth::Sixteen, 4),
        Pixels::Rgb565 => (ColorType::Rgb, BitDepth::Eight, 2),
        Pixels::Grey8 => (ColorType::Grayscale, BitDepth::Eight, 1),
        Pixels::Grey16 => (ColorType::Grayscale, BitDepth::Sixteen, 2),
    };
    let mut data = Vec::new();
    for pixel in picture.rows.chunks_exact(element) {
        for value in unpack(pixels, pixel).iter().take(kind.samples()) {
            let [high, low] = value.to_be_bytes();
            data.push(high);
            if depth == BitDepth::Sixteen {
                data.push(low);
            }
        }
    }
    let failed = |error: png::EncodingError| format!("the PNG encoder: {error}");
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, picture.extent.width().get(), picture.extent.height().get());
    encoder.set_color(kind);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&data).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// A sample of 8 or 16 bits in 16.
fn sample(bytes: &[u8]) -> u16 {
    match *bytes {
        [high, low] => u16::from_be_bytes([high, low]),
        [byte] => wide(byte),
        _ => 0,
    }
}

fn wide(byte: u8) -> u16 {
    u16::from_be_bytes([byte, byte])
}

fn narrow(value: u16) -> u8 {
    let [high, _] = value.to_be_bytes();
    high
}

/// The bytes of one pixel. Unused bits are set; one channel is the red one.
fn pack(pixels: Pixels, [red, green, blue, alpha]: Colour, rows: &mut Vec<u8>) {
    let [r, g, b, a] = [red, green, blue, alpha].map(narrow);
    match pixels {
        Pixels::Bgrx => rows.extend([b, g, r, 255]),
        Pixels::Bgra => rows.extend([b, g, r, a]),
        Pixels::Rgbx => rows.extend([r, g, b, 255]),
        Pixels::Rgba => rows.extend([r, g, b, a]),
        Pixels::Bgrx10 | Pixels::Bgra10 => {
            let alpha = if pixels == Pixels::Bgra10 { alpha >> 14 } else { 3 };
            let [red, green, blue, alpha] = [red >> 6, green >> 6, blue >> 6, alpha].map(u32::from);
            rows.extend((alpha << 30 | red << 20 | green << 10 | blue).to_le_bytes());
        }
        Pixels::Rgb565 => rows.extend((red >> 11 << 11 | green >> 10 << 5 | blue >> 11).to_le_bytes()),
        Pixels::Grey8 => rows.push(r),
        Pixels::Grey16 => rows.extend(red.to_le_bytes()),
    }
}

fn unpack(pixels: Pixels, bytes: &[u8]) -> Colour {
    match (pixels, bytes) {
        (Pixels::Bgrx | Pixels::Bgra, [b, g, r, a]) | (Pixels::Rgbx | Pixels::Rgba, [r, g, b, a]) => {
            [*r, *g, *b, *a].map(wide)
        }
        (Pixels::Bgrx10 | Pixels::Bgra10, &[b0, b1, b2, b3]) => {
            let value = u32::from_le_bytes([b0, b1, b2, b3]);
            let ten = |shift: u32| {
                let value = (value >> shift & 0x3ff) as u16;
                value << 6 | value >> 4
            };
            [ten(20), ten(10), ten(0), (value >> 30) as u16 * 0x5555]
        }
        (Pixels::Rgb565, [low, high]) => {
            let value = u16::from_le_bytes([*low, *high]);
            // The upper bits again below, so that the largest value stays the largest. No more than 8 bits are left.
            let five = |value: u16| wide((value << 3 | value >> 2) as u8);
            let six = |value: u16| wide((value << 2 | value >> 4) as u8);
            [five(value >> 11), six(value >> 5 & 0x3f), five(value & 0x1f), u16::MAX]
        }
        (_, [low, high]) => [u16::from_le_bytes([*low, *high]); 4],
        (_, [value]) => [wide(*value); 4],
        _ => [0; 4],
    }
}
