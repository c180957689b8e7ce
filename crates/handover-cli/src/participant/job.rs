//! What the parent tells a participant to do. Travels once, as JSON over the control socket.
//!
//! Behind the job come the streams, one message with one descriptor each: first the inputs, then the outputs, in the
//! order the job lists them.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use handover::backend::linux::{Card, Dumb, Udmabuf};
use handover::backend::{Backend, Software};
use handover::negotiate::{Agreement, SurfaceUsages};
use handover::{Bytes, Device, ExportFlags, Extent, Format, Fourcc, Modifier};
use serde::{Deserialize, Serialize};

use crate::media::Rate;

/// All that a participant needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Its name in the pipeline.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// Name of its simulated device; of no meaning to one that is real.
    pub device: String,
    /// Frames in seconds.
    pub rate: (u32, u32),
    /// Frames of the whole run.
    pub frames: u64,
    /// Width and height of what it draws, in pixels.
    pub extent: (u32, u32),
    /// How it allocates. `None`: nobody shares its surfaces.
    pub surfaces: Option<Surfaces>,
    /// The one surface it draws into, to copy from there into those that others share. `None`: it draws into them.
    pub private: Option<Surfaces>,
    /// Is the content of its own frames hashed?
    pub hashes: bool,
    /// The bit of every address that its decoder gets wrong, to show that this shows.
    pub flip_decoder_bit: Option<u32>,
    /// How long it keeps each frame it reads, in milliseconds.
    pub hold_ms: u64,
    /// Whom it reads.
    pub inputs: Vec<InputJob>,
    /// Who reads it.
    pub outputs: Vec<OutputJob>,
}

/// What a participant does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Decodes a clip.
    Clip {
        /// The file; `None` for the clip the program carries.
        input: Option<FilePath>,
    },
    /// Draws a scale, a number and a clock.
    Overlay,
    /// Draws a test card.
    Pattern {
        /// Chooses its colour.
        index: u32,
    },
    /// Lays its inputs over each other.
    Compositor,
    /// Draws by Vulkan.
    Vulkan {
        /// Part of the name of its device; `None`: the first that will do.
        gpu: Option<String>,
        /// What.
        paint: Paint,
    },
    /// Draws, and has computes work on what it drew.
    OpenGl(Scene),
    /// Works on what an `opengl` exports.
    Compute {
        /// Number of the access to the texture, as [`handover::interop::Access::of`] has it.
        access: u32,
        /// The version of the interop's structs that it knows.
        version: u32,
    },
    /// Puts its inputs side by side.
    Blend {
        /// Tiles in a row.
        columns: u32,
        /// Width and height of a tile, in pixels.
        tile: (u32, u32),
    },
    /// Writes a video.
    Encoder {
        /// Bits a second.
        bitrate: u32,
        /// The file.
        file: FilePath,
    },
    /// Writes pictures.
    Preview {
        /// The directory.
        directory: FilePath,
    },
    /// Lets a camera fill its surfaces.
    Camera {
        /// Its node.
        node: FilePath,
    },
    /// Lets a video output read.
    Output {
        /// Its node.
        node: FilePath,
    },
    /// Shows on a screen.
    Screen {
        /// The card.
        node: FilePath,
        /// How long the last frame stays, in milliseconds.
        linger_ms: u64,
        /// Where the picture of it goes.
        directory: FilePath,
    },
    /// Shows in a window.
    Window {
        /// What stands over it; `None`: the participant's name.
        title: Option<String>,
    },
    /// Runs a Wayland client.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

/// What an `opengl` draws and shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scene {
    /// Pictures in a row of what it shows.
    pub columns: u32,
    /// Width and height of a texture, in pixels.
    pub tile: (u32, u32),
    /// Fourcc of the textures' format.
    pub format: u32,
    /// Where the memory of textures and buffers comes from.
    pub source: Source,
}

/// What is drawn by Vulkan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paint {
    /// A scene that moves.
    Scene {
        /// Chooses its colours.
        index: u32,
    },
    /// Its inputs, over each other.
    Layers,
}

/// A path as its bytes: JSON has only text, and a path need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePath(Vec<u8>);

impl From<&Path> for FilePath {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

impl From<FilePath> for PathBuf {
    fn from(path: FilePath) -> Self {
        OsString::from_vec(path.0).into()
    }
}

/// Where the memory of surfaces comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Sealed memfds.
    Software,
    /// `/dev/udmabuf`.
    Udmabuf,
    /// Dumb buffers of a card: some screens show no others.
    Dumb {
        /// The card.
        node: FilePath,
    },
    /// The producer's own device: its driver makes them.
    Own,
}

impl Source {
    /// Opens it. `None`: it is the producer's own device, which it has.
    ///
    /// # Errors
    /// There is no such node, or this user may not open it.
    pub fn open(&self) -> handover::Result<Option<Arc<dyn Backend>>> {
        Ok(Some(match self {
            Self::Own => return Ok(None),
            Self::Software => Arc::new(Software),
            Self::Udmabuf => Arc::new(Udmabuf::open()?),
            Self::Dumb { node } => {
                let card = Card::open(PathBuf::from(node.clone()))?;
                // The screen is for the one who shows.
                card.leave_screens()?;
                Arc::new(Dumb::of(card))
            }
        }))
    }
}

/// What was agreed on with those who share the surfaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Surfaces {
    /// Surfaces in the pool.
    pub count: u32,
    /// Fourcc of the format.
    pub format: u32,
    /// The modifier's number.
    pub modifier: u64,
    /// Strides are multiples of this, in bytes.
    pub stride_align: u64,
    /// Plane offsets are multiples of this, in bytes.
    pub offset_align: u64,
    /// Usages of all parties, as bits.
    pub usages: u32,
    /// Where their memory comes from.
    pub source: Source,
    /// May anybody write who has it? Devices want that even to read.
    pub open: bool,
}

/// One producer that is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InputJob {
    /// Its place in the order in which all participants set up streams.
    pub turn: usize,
    /// Its name.
    pub producer: String,
    /// Width and height of its surfaces, in pixels.
    pub extent: (u32, u32),
    /// Fourcc of their format.
    pub format: u32,
    /// The newest frame instead of every frame.
    pub mailbox: bool,
    /// Pixels come through a socket.
    pub copies: bool,
    /// It is imported as the sides of an interop do.
    pub interop: bool,
    /// Is the content of its frames hashed?
    pub hashes: bool,
}

/// One reader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutputJob {
    /// Its name.
    pub reader: String,
    /// Export flags, as bits.
    pub flags: u8,
    /// The newest frame instead of every frame.
    pub mailbox: bool,
    /// Pixels go through a socket.
    pub copies: bool,
    /// It imports as the sides of an interop do.
    pub interop: bool,
}

/// A job whose numbers mean nothing here: parent and participant are not the same program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadJob(pub &'static str);

impl Job {
    /// The device.
    pub fn device(&self) -> Result<Device, BadJob> {
        if matches!(self.work, Work::Vulkan { .. }) {
            return Ok(Device::DRIVER);
        }
        let device = Device::from_name(&self.device).ok_or(BadJob("device"))?;
        Ok(self.flip_decoder_bit.map_or(device, |bit| device.with_flipped_bit(bit)))
    }

    /// Frames a second.
    pub fn rate(&self) -> Result<Rate, BadJob> {
        Rate::new(self.rate.0, self.rate.1).ok_or(BadJob("rate"))
    }

    /// Width and height of what it draws.
    pub fn extent(&self) -> Result<Extent, BadJob> {
        extent(self.extent)
    }
}

impl Surfaces {
    /// For the job of a participant that allocates by this agreement.
    pub fn of(agreement: &Agreement, count: u32, source: &Source, open: bool) -> Option<Self> {
        Some(Self {
            count,
            format: agreement.format?.fourcc().0,
            modifier: agreement.modifier.0,
            stride_align: agreement.stride_align.get(),
            offset_align: agreement.offset_align.get(),
            usages: agreement.usages.bits(),
            source: source.clone(),
            open,
        })
    }

    /// The agreement again. Which offers lost is the parent's to tell.
    pub fn agreement(&self, extent: Extent) -> Result<Agreement, BadJob> {
        Ok(Agreement {
            format: Some(format(self.format)?),
            modifier: Modifier(self.modifier),
            stride_align: Bytes(self.stride_align),
            offset_align: Bytes(self.offset_align),
            extent,
            usages: SurfaceUsages::from_bits(self.usages).ok_or(BadJob("usages"))?,
            lost: Vec::new(),
        })
    }
}

impl Scene {
    /// Width and height of a texture.
    pub fn tile(&self) -> Result<Extent, BadJob> {
        extent(self.tile)
    }

    /// The textures' format.
    pub fn format(&self) -> Result<Format, BadJob> {
        format(self.format)
    }
}

impl InputJob {
    /// Width and height of the frames.
    pub fn extent(&self) -> Result<Extent, BadJob> {
        extent(self.extent)
    }

    /// Their format.
    pub fn format(&self) -> Result<Format, BadJob> {
        format(self.format)
    }
}

impl OutputJob {
    /// What the surfaces are exported with.
    pub fn flags(&self) -> Result<ExportFlags, BadJob> {
        ExportFlags::from_bits(self.flags).ok_or(BadJob("flags"))
    }
}

fn extent((width, height): (u32, u32)) -> Result<Extent, BadJob> {
    Extent::new(width, height).map_err(|_| BadJob("extent"))
}

fn format(fourcc: u32) -> Result<Format, BadJob> {
    Format::from_fourcc(Fourcc(fourcc)).ok_or(BadJob("format"))
}
