//! A pipeline that was checked.

use std::path::PathBuf;
use std::time::Duration;

use handover::interop::Access;
use handover::{ExportFlags, Extent, Format};

use crate::media::Rate;

/// Processes a pipeline may have.
pub const MAX_PARTICIPANTS: usize = 32;

/// Width and height in pixels where neither a clip nor the pipeline says.
pub const DEFAULT_EXTENT: (u32, u32) = (640, 360);

/// Frames of a run where neither a clip nor the pipeline ends it.
pub const DEFAULT_FRAMES: u64 = 250;

/// Who runs and who reads whom. Every index is in range, names and files are unique, there is no cycle, and every
/// participant that reads has something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// For the report: small letters, digits, '-' and spaces, at most 32.
    pub name: String,
    /// Stop after so many frames.
    pub frames: Option<u64>,
    /// Frames a second, if the pipeline overrides the clip's.
    pub rate: Option<Rate>,
    /// In the order of the file.
    pub participants: Vec<Participant>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Small letters, digits and '-', at most 32; unique.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// The device it works on.
    pub device: Device,
    /// Part of the name of the device of Vulkan, if the pipeline says which.
    pub gpu: Option<String>,
    /// Whose surfaces it reads, as indices into [`Pipeline::participants`], in the order that counts.
    pub reads: Vec<usize>,
    /// How it takes what it reads.
    pub mode: Mode,
    /// Width and height of its own surfaces, if said.
    pub extent: Option<Extent>,
    /// The formats it offers, for what it reads and for what others read of it, best first. Never empty.
    pub formats: Vec<Format>,
    /// The flags it exports its surfaces with. READ is always among them.
    pub export: ExportFlags,
    /// Surfaces in its pool.
    pub surfaces: u32,
    /// How long it keeps each frame it reads.
    pub hold: Duration,
    /// Does it get pixels through a socket instead of sharing them? Then its mode is [`Mode::Fifo`].
    pub copies: bool,
    /// The node of the kernel's device that it uses, if the pipeline says which.
    pub node: Option<PathBuf>,
    /// How long a screen keeps the last frame.
    pub linger: Duration,
}

/// What a participant does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Decodes the clip into its surfaces.
    Clip,
    /// Draws a scale, the frame number and a clock, mostly transparent.
    Overlay,
    /// Draws a moving test card.
    Pattern {
        /// Chooses its colour.
        index: u32,
    },
    /// Lays what it reads over each other.
    Compositor,
    /// Puts what it reads side by side.
    Blend,
    /// Draws as OpenGL does: exports a texture and a buffer to each compute, reads what came back, checks and shows it.
    OpenGl,
    /// Works as OpenCL does on the texture that an `opengl` exports.
    Compute {
        /// What it does with the texture.
        access: Access,
        /// The version of the interop's structs that it knows. From 2 on it counts on a flush.
        version: u32,
    },
    /// Writes an H.264 video.
    Encoder(Encoding),
    /// Writes the first, the middle and the last frame as PNG.
    Preview,
    /// Lets a camera (V4L2 capture) fill its surfaces.
    Camera,
    /// Lets a video output (V4L2 output) read surfaces.
    Output,
    /// Shows surfaces on a screen (KMS), and writes the last one as PNG.
    Screen,
    /// Shows surfaces in a window of the Wayland compositor that runs.
    Window {
        /// What stands over it, if not the participant's name.
        title: Option<String>,
    },
    /// Runs a Wayland client in a compositor of its own, and shows what that shows.
    Program {
        /// The program and its arguments; never empty.
        command: Vec<String>,
    },
}

/// What an encoder writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// Bits a second in the mean.
    pub bitrate: u32,
    /// File name in the output directory: no directories, ends in `.mp4`; unique.
    pub file: String,
}

/// A device that draws or reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// One of the library's simulated devices, perhaps with a decoder.
    Simulated(handover::Device),
    /// A device of Vulkan.
    Vulkan,
}

/// How a reader takes frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every frame, in order; the producer waits when the pool is empty.
    #[default]
    Fifo,
    /// The newest; the producer never waits, older frames are dropped.
    Mailbox,
}

impl Kind {
    /// The words of the file.
    pub const WORDS: [&'static str; 14] = [
        "clip",
        "overlay",
        "pattern",
        "compositor",
        "blend",
        "opengl",
        "compute",
        "encoder",
        "preview",
        "camera",
        "output",
        "screen",
        "window",
        "program",
    ];
    /// Of these, the ones that have no surfaces of their own.
    pub const READERS: [&'static str; 6] = ["compute", "encoder", "preview", "output", "screen", "window"];

    /// The word of the file.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Overlay => "overlay",
            Self::Pattern { .. } => "pattern",
            Self::Compositor => "compositor",
            Self::Blend => "blend",
            Self::OpenGl => "opengl",
            Self::Compute { .. } => "compute",
            Self::Encoder(_) => "encoder",
            Self::Preview => "preview",
            Self::Camera => "camera",
            Self::Output => "output",
            Self::Screen => "screen",
            Self::Window { .. } => "window",
            Self::Program { .. } => "program",
        }
    }

    /// Does it make frames from nothing?
    pub fn is_source(&self) -> bool {
        let draws = matches!(self, Self::Overlay | Self::Pattern { .. } | Self::OpenGl);
        draws || matches!(self, Self::Clip | Self::Camera | Self::Program { .. })
    }

    /// Does it have surfaces that others can read?
    pub fn produces(&self) -> bool {
        !Self::READERS.contains(&self.word())
    }

    /// Does it use a device of the kernel's, or a compositor with one, which reach dma-bufs only?
    pub fn needs_linux(&self) -> bool {
        matches!(self, Self::Camera | Self::Output | Self::Screen | Self::Window { .. })
    }
}

impl Participant {
    /// Does it use a real device, which reaches dma-bufs only?
    pub fn needs_linux(&self) -> bool {
        self.kind.needs_linux() || self.device == Device::Vulkan
    }
}

impl Default for Device {
    /// Linear surfaces only.
    fn default() -> Self {
        Self::Simulated(handover::Device::PLAIN)
    }
}

impl Device {
    /// All that a file can name: simulated devices, the same with decoders, the displays of chips, then `vulkan`.
    pub fn all() -> impl Iterator<Item = Self> {
        let decoders = handover::Device::simulated().map(handover::Device::with_decoder);
        let simulated = handover::Device::simulated()
            .flat_map(|device| match device {
                handover::Device::PLAIN => [Some(device), Some(device.with_blocks_decoder())],
                _ => [Some(device), None],
            })
            .flatten();
        let displays = handover::Device::simulated().filter_map(handover::Device::display);
        simulated.chain(decoders).chain(displays).map(Self::Simulated).chain([Self::Vulkan])
    }

    /// The word of the file.
    pub fn word(self) -> String {
        match self {
            Self::Simulated(device) => device.name(),
            Self::Vulkan => "vulkan".into(),
        }
    }
}

impl Mode {
    /// The words of the file.
    pub const WORDS: [&'static str; 2] = ["fifo", "mailbox"];

    /// The word of the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Mailbox => "mailbox",
        }
    }
}

impl Pipeline {
    /// The readers of participant `producer`, as indices.
    pub fn readers(&self, producer: usize) -> impl Iterator<Item = usize> + '_ {
        self.participants
            .iter()
            .enumerate()
            .filter(move |(_, reader)| reader.reads.contains(&producer))
            .map(|(index, _)| index)
    }

    /// Indices in an order in which everybody comes after those it reads.
    pub fn producers_first(&self) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        // Each round places at least one, as there is no cycle.
        for _ in 0..self.participants.len() {
            for (index, participant) in self.participants.iter().enumerate() {
                if !order.contains(&index) && participant.reads.iter().all(|read| order.contains(read)) {
                    order.push(index);
                }
            }
        }
        order
    }
}
