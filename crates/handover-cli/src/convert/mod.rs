//! `handover convert`: a picture into a tiled layout, and back.
//!
//! `picture` reads and writes PNG files as rows of pixels of a format; the library puts rows into tiles.

mod picture;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use handover::layout::tiling::{Placed, Tiling};
use handover::{Bytes, Error, Extent, Format, Modifier, tiles};
use serde_json::json;

use crate::columns::printable;
use crate::layout;
use crate::run::{FAILED, REFUSED};
use picture::Picture;

/// What `handover convert --help` says first.
pub const ABOUT: &str = "\
Write a picture into a tiled layout, or a tiled file as a picture.

A PNG file becomes the bytes of a plane as the modifier lays them out, padding 0; any other file is taken for such bytes and becomes a \
PNG file. Pixels are converted to and from the format, never compressed or resolved.";

/// What it says last.
pub const EXAMPLES: &str = "\
Formats: XRGB8888, ARGB8888, XBGR8888, ABGR8888, XRGB2101010, ARGB2101010, RGB565, R8 and R16.
Parameters are those of `handover layout --help`.

Examples:
  handover convert desk.png desk.raw --modifier I915_FORMAT_MOD_Y_TILED
  handover convert desk.raw back.png --modifier I915_FORMAT_MOD_Y_TILED --size 1920x1080
  handover convert luma.png luma.raw --modifier 0x0400000000000001 --format R8 --param plane=luma

Exit codes:
  0    converted
  1    a file cannot be read or written
  2    refused: the command line, the layout, or a file that does not fit it; the message says how many bytes would";

/// The most bytes that a file of pixels may have.
const MOST_BYTES: u64 = 1 << 32;

/// What the command line asks for, as typed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A PNG file, or the bytes of a plane.
    #[arg(value_name = "IN")]
    pub from: PathBuf,
    /// The other of the two. The name of a PNG file ends in .png.
    #[arg(value_name = "OUT")]
    pub to: PathBuf,
    /// The modifier: a name or a number (0x…).
    #[arg(long, value_name = "MODIFIER")]
    pub modifier: String,
    /// The format of the pixels in the plane: a name or a code of four characters.
    #[arg(long, value_name = "FORMAT", default_value = "XRGB8888")]
    pub format: String,
    /// The image in pixels. A PNG file says it itself.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub size: Option<String>,
    /// Bytes from row to row, as drivers pass it. Default: the least that the layout takes.
    #[arg(long, value_name = "BYTES")]
    pub stride: Option<u64>,
    /// What the modifier does not say; can be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why nothing was written.
enum Trouble {
    Refused(String),
    File(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

/// Converts, and says on standard output what was written.
pub fn convert(arguments: &Arguments) -> ExitCode {
    let (why, code) = match converted(arguments) {
        Ok(text) => {
            // Whoever closed the pipe has seen enough.
            let _ = write!(anstream::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(Trouble::Refused(why)) => (why, REFUSED),
        Err(Trouble::File(why)) => (why, FAILED),
    };
    anstream::eprintln!("error: {}", printable(&why));
    ExitCode::from(code)
}

fn converted(arguments: &Arguments) -> Result<String, Trouble> {
    let modifier: Modifier = arguments.modifier.parse()?;
    let format = layout::format(&arguments.format)?;
    let pixels = picture::pixels(format)?;
    let size = arguments.size.as_deref().map(|size| layout::pair(size, 'x', "--size", "1920x1080")).transpose()?;
    let size = size.map(|(width, height)| Extent::new(width, height)).transpose()?;
    let bytes = read(&arguments.from)?;
    let is_png = picture::is_png(&bytes);
    if is_png == has_png_name(&arguments.to) {
        return Err(Trouble::Refused(if is_png {
            format!(
                "{}: the input is a PNG file, so the output is a plane; a name that ends in .png misleads",
                arguments.to.display()
            )
        } else {
            format!(
                "{}: the input is no PNG file, so the output is one; give it a name that ends in .png",
                arguments.to.display()
            )
        }));
    }
    let picture = if is_png { Some(picture::decode(&arguments.from, &bytes, pixels)?) } else { None };
    let extent = match (&picture, size) {
        (Some(picture), Some(size)) if size != picture.extent => {
            return Err(Trouble::Refused(format!("--size: the PNG file has {}", picture.extent)));
        }
        (Some(picture), _) => picture.extent,
        (None, Some(size)) => size,
        (None, None) => return Err(Trouble::Refused("--size is missing: a plane does not say it".into())),
    };
    let plane = Plane::of(arguments, modifier, format, extent)?;
    let written = match picture {
        Some(picture) => {
            let tiled = plane.tile(&picture)?;
            write_file(&arguments.to, &tiled)?;
            tiled.len()
        }
        None => {
            let rows = plane.detile(&bytes)?;
            let png = picture::encode(pixels, &Picture { extent, rows })?;
            write_file(&arguments.to, &png)?;
            png.len()
        }
    };
    let (to, stride, size) = (arguments.to.display(), plane.stride(), plane.size());
    if arguments.json {
        let json = json!({
            "written": to.to_string(),
            "bytes": written,
            "modifier": format!("{:#018x}", modifier.0),
            "name": modifier.to_string(),
            "format": format.name(),
            "width": extent.width().get(),
            "height": extent.height().get(),
            "stride": stride,
            "plane_bytes": size,
        });
        return Ok(format!("{json:#}\n"));
    }
    Ok(format!("{to}: {written} bytes\n  {format} {extent}, {modifier}, stride {stride}, a plane of {size} bytes\n"))
}

/// The plane that a file holds: in rows, or in tiles.
enum Plane {
    Linear { stride: usize, row: usize, rows: usize },
    Tiled(Box<Placed>),
}

impl Plane {
    fn of(arguments: &Arguments, modifier: Modifier, format: Format, extent: Extent) -> Result<Self, Trouble> {
        let element = format.planes().first().map_or(Bytes(1), |plane| plane.bytes_per_element);
        let (wide, rows) = format.plane_extent(0, extent).ok_or_else(|| "the format has no plane".to_owned())?;
        let plane = if modifier == Modifier::LINEAR {
            let row = u64::from(wide.get()) * element.get();
            let stride = arguments.stride.unwrap_or(row);
            if stride < row {
                return Err(Trouble::Refused(format!("--stride {stride}: a row has {row} bytes")));
            }
            let small =
                |bytes: u64| usize::try_from(bytes).map_err(|_| format!("--stride {stride} does not fit memory"));
            Self::Linear { stride: small(stride)?, row: small(row)?, rows: small(u64::from(rows))? }
        } else {
            let parameters = layout::parameters::read(&arguments.parameters)?;
            let tiling = Tiling::of(modifier, element, &parameters)
                .map_err(|error| Trouble::Refused(layout::parameters::said(&error)))?;
            if tiling.is_compressed() {
                return Err(Trouble::Refused(format!("--modifier {modifier}: compressed: resolve first")));
            }
            Self::Tiled(Box::new(tiling.place(wide, rows, arguments.stride.map(Bytes))?))
        };
        if plane.size() > MOST_BYTES {
            return Err(Trouble::Refused(format!(
                "the plane has {} bytes, and at most {MOST_BYTES} are converted",
                plane.size()
            )));
        }
        Ok(plane)
    }

    fn stride(&self) -> u64 {
        match self {
            Self::Linear { stride, .. } => *stride as u64,
            Self::Tiled(placed) => placed.stride().get(),
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Linear { stride, rows, .. } => (*stride as u64).saturating_mul(*rows as u64),
            Self::Tiled(placed) => placed.size().get(),
        }
    }

    fn tile(&self, picture: &Picture) -> Result<Vec<u8>, Trouble> {
        match self {
            Self::Linear { stride, row, rows } => {
                let mut plane = vec![0; stride * rows];
                for (to, from) in plane.chunks_mut(*stride).zip(picture.rows.chunks(*row)) {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
                Ok(plane)
            }
            Self::Tiled(placed) => {
                let row = placed.width().get() as usize * placed.tiling().bytes_per_element().get() as usize;
                Ok(tiles::tile(placed, &picture.rows, row)?)
            }
        }
    }

    fn detile(&self, bytes: &[u8]) -> Result<Vec<u8>, Trouble> {
        if bytes.len() as u64 != self.size() {
            return Err(Trouble::Refused(format!("the input has {} bytes, expected {}", bytes.len(), self.size())));
        }
        match self {
            Self::Linear { stride, row, .. } => {
                Ok(bytes.chunks(*stride).flat_map(|line| line.iter().take(*row)).copied().collect())
            }
            Self::Tiled(placed) => Ok(tiles::detile(placed, bytes)?),
        }
    }
}

fn has_png_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}

fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    let failed = |error: std::io::Error| Trouble::File(format!("{}: {error}", path.display()));
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MOST_BYTES {
        return Err(Trouble::Refused(format!(
            "{} has {length} bytes, and at most {MOST_BYTES} are converted",
            path.display()
        )));
    }
    fs::read(path).map_err(failed)
}

/// Under a temporary name first: a file of this name is whole.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).map_err(|error| {
        // What is left of a full disk helps nobody; if it cannot be removed either, the first error is the one to tell.
        let _ = fs::remove_file(&part);
        Trouble::File(format!("{}: {error}", path.display()))
    })
}
