//! `handover layout`: where every element of an image lies, from its modifier.
//!
//! `parameters` reads what the modifier does not say, `picture` draws a block and the order of its bytes.

pub(crate) mod parameters;
mod picture;
mod report;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use handover::layout::tiling::Tiling;
use handover::{Error, Extent, Format, Fourcc, Modifier};

use crate::run::{FAILED, REFUSED};
use report::Report;

/// What `handover layout --help` says first.
pub const ABOUT: &str = "\
Say where every element of a tiled image lies, and draw the order of its bytes.

The modifier, the size of an element and the size of the image determine stride, padding, size and every address. What the modifier does \
not say is given as parameters; without them the layout is refused, never guessed. Offsets count from the start of a plane.";

/// What it says last.
pub const EXAMPLES: &str = "\
Parameters:
  plane=luma|chroma                   of codec tiles, for formats of one plane; others say it themselves
  intel_bit6=yes|no                   the memory controller swizzles bit 6 (before generation 8)
  vivante_supertile=2x4|z             the order inside a supertile
  sand_first_row=N                    where the rows of this plane begin in each column
  qualcomm=BANK_BIT,LEVELS,CHANNELS   highest bank bit, bank swizzle levels, macrotile channels: 15,6,8
  amd_gfx8=MODE,MICRO,PIPE_CONFIG,PIPES,BANKS,BANK_WIDTH,BANK_HEIGHT,ASPECT,TILE_SPLIT
                                      with --modifier INVALID: 2d,thin,12,8,16,1,4,4,512

Examples:
  handover layout --modifier I915_FORMAT_MOD_4_TILED --at 5,2
  handover layout --modifier 0x0200000000801b02 --size 2560x1440 --svg navi10.svg
  handover layout --modifier 0x0700000000066004 --format NV12 --json
  handover layout --modifier 0x0500000000000003 --param qualcomm=15,6,8

Exit codes:
  0    computed
  1    the picture cannot be written
  2    refused: the command line, or a layout that is not fully determined; the message names what is missing";

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// The modifier, as typed.
    pub modifier: String,
    /// The format, as typed.
    pub format: String,
    /// Width and height, as typed.
    pub size: String,
    /// Names and values, as typed.
    pub parameters: Vec<String>,
    /// An element, as typed.
    pub at: Option<String>,
    /// Where the picture goes.
    pub svg: Option<PathBuf>,
    /// Print JSON.
    pub json: bool,
}

/// Computes, and prints on standard output.
pub fn layout(arguments: &Arguments) -> ExitCode {
    let report = match compute(arguments) {
        Ok(report) => report,
        Err(why) => {
            anstream::eprintln!("error: {why}");
            return ExitCode::from(REFUSED);
        }
    };
    if let Some(path) = &arguments.svg {
        let drawn = report.first().and_then(|placed| picture::draw(placed.tiling())).map_err(|error| error.to_string());
        let written = drawn.and_then(|drawn| fs::write(path, drawn).map_err(|error| error.to_string()));
        if let Err(why) = written {
            anstream::eprintln!("error: the picture {}: {why}", path.display());
            return ExitCode::from(FAILED);
        }
    }
    let text = if arguments.json { format!("{:#}\n", report.json()) } else { report.text() };
    // Whoever closed the pipe has seen enough.
    let _ = write!(anstream::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn compute(arguments: &Arguments) -> Result<Report, String> {
    let said = |error: Error| error.to_string();
    let modifier: Modifier = arguments.modifier.parse().map_err(said)?;
    let format = format(&arguments.format)?;
    let (width, height) = pair(&arguments.size, 'x', "--size", "1920x1080")?;
    let extent = Extent::new(width, height).map_err(said)?;
    let at = arguments.at.as_deref().map(|at| pair(at, ',', "--at", "5,2")).transpose()?;
    let parameters = parameters::read(&arguments.parameters)?;
    let mut planes = Vec::new();
    for (index, plane) in format.planes().iter().enumerate() {
        let parameters = parameters::of_plane(parameters, format.planes().len(), index);
        let tiling =
            Tiling::of(modifier, plane.bytes_per_element, &parameters).map_err(|error| parameters::said(&error))?;
        let (wide, rows) = format.plane_extent(index, extent).ok_or("the format has no such plane")?;
        planes.push(tiling.place(wide, rows, None).map_err(said)?);
    }
    if let Some((x, y)) = at
        && planes.iter().all(|plane| plane.width().get() <= x || plane.height() <= y)
    {
        return Err(format!("--at {x},{y} is outside of every plane"));
    }
    Ok(Report { modifier, format, extent, planes, at })
}

/// A format by its name or its code.
pub(crate) fn format(text: &str) -> Result<Format, String> {
    let code = || text.parse::<Fourcc>().ok().and_then(Format::from_fourcc);
    text.parse::<Format>().or_else(|error| code().ok_or_else(|| error.to_string()))
}

/// Two numbers of an option.
pub(crate) fn pair(text: &str, between: char, option: &str, example: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once(between).and_then(|(one, two)| Some((one.parse().ok()?, two.parse().ok()?)));
    numbers.ok_or_else(|| format!("{option} {text}: two numbers, such as {example}"))
}
