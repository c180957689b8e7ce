//! The file that says who runs and who reads whom.
//!
//! [`Pipeline::parse`] gives a pipeline that can run, as far as that can be known before anything starts, or
//! [`Diagnostics`] that name file, line, column and what is allowed. A pipeline is a TOML file:
//!
//! ```toml
//! name = "two encoders"      # for the report; small letters, digits, '-' and spaces, at most 32
//! frames = 100               # stop after so many; default: the clip's end, or 250 without a clip
//! fps = 25                   # or "30000/1001"; default: the clip's rate, or 25
//!
//! [[participant]]            # one process
//! name = "clip"              # small letters, digits and '-'; unique
//! kind = "clip"              # clip, overlay, pattern, compositor, blend, encoder, preview; camera, output, screen;
//!                            # window, program; opengl, compute
//! device = "blocks"          # a simulated device: plain (default), plain+blocks, blocks, polaris10, vega10, navi21, tigerlake or
//!                            # turing, or one of them that decodes the others' layouts, "vega10+decode", or the display of a chip,
//!                            # which only reads, "navi21+display"; each may have an awkward habit, "navi21+lost-after=3"; or vulkan,
//!                            # a real one
//! formats = ["XRGB8888"]     # in order of preference; default: what the kind can do
//! export = ["read", "explicit-flush"]  # default: read; needed, as every reader reads
//! surfaces = 4               # in its pool, 1 to 16; default 4
//!
//! [[participant]]
//! name = "stream"
//! kind = "encoder"
//! reads = ["clip"]           # one for encoder and preview, one or more for compositor and blend
//! bitrate = 400_000          # bits a second
//! file = "stream.mp4"        # in the output directory; default: NAME.mp4
//! mode = "fifo"              # every frame; or mailbox: the newest, and the producer never waits
//! hold_ms = 0                # keep each frame so long before releasing it, to show who waits
//! copies = false             # true, not with mailbox: get pixels through a socket instead of sharing them, to show what that costs
//! ```
//!
//! `extent = [width, height]` is for overlay, pattern, compositor and blend; default: that of what they read or lie
//! over, or 640x360. A pattern has an `index` that chooses its colour. The order of `reads` counts: a compositor lays the
//! second over the first, a blend puts them side by side from the top left. An overlay lies over the lowest input of the
//! compositor that reads it; if that in turn is as large as the overlay asks, it has the default.
//!
//! A camera, an output and a screen are devices of the kernel's, and share dma-bufs. `node = "/dev/video0"` says which one; default:
//! the first that will do. A camera has an `extent`, one that the device knows; default 640x360. A screen shows frames of
//! exactly the extent of one of its modes, and keeps the last one for `linger_ms` (default 0) before what was there before comes back.
//!
//! A window is one of the Wayland compositor that runs (`WAYLAND_DISPLAY`), with a `title`. A program runs
//! `command = ["weston-simple-egl"]`, a Wayland client of somebody else's, in a compositor of its own: what the client shows are its
//! frames, of an `extent` that the client is told as that of the screen.
//!
//! `device = "vulkan"` is for pattern and compositor, and shares dma-bufs: a device of Vulkan draws, and passes fences instead of
//! waiting. `gpu = "radeon"` says which one, by a part of its name; default: the first that can share images.
//!
//! An `opengl` draws, exports a texture and a buffer to each `compute` that reads it, as the sides of OpenGL and OpenCL do, and shows side by
//! side what it drew and what came back; its `extent` is that of a texture. A compute says what it does with the texture:
//! `access = "read"` counts, `"read-write"` makes the negative in place, `"write"` fills it unseen. `version` is that of the interop's
//! structs that it knows: from 2 (the default) on it counts on a flush.
//!
//! `export` knows "write" too. No kind that reads a pool's frames writes them: beside "read" it shows what a writer costs, as the device then
//! drops compression for all.

mod diagnostics;
pub(crate) mod file;
mod graph;
mod keys;
mod load;
mod resolve;
mod types;
pub(crate) mod words;

pub use diagnostics::{Diagnostic, Diagnostics};
pub use load::LoadError;
pub use types::{
    DEFAULT_EXTENT, DEFAULT_FRAMES, Device, Encoding, Kind, MAX_PARTICIPANTS, Mode, Participant, Pipeline,
};

/// The pipelines that the program carries, by name: the default one first.
///
/// `desktop` is a clip and an overlay, composed, with two encoders that read the clip's surfaces beside the compositor.
/// `fanout` is four clients with buffers of their own, blended, read by three encoders.
/// `camera` is a camera, composed on a screen, with two encoders and a video output that read the camera's surfaces beside the
/// compositor. It needs devices of the kernel's.
/// `vulkan` is two clients and a compositor that draw by Vulkan, with two encoders and a preview that read the result. It needs a driver
/// of Vulkan.
/// `wayland` is a clip, composed by Vulkan, in a window, with two encoders beside it. It needs a driver of Vulkan and a Wayland compositor.
/// `capture` is a Wayland client of somebody else's, read by two encoders and a preview.
/// `dri` is an application and a display server on simulated chips of two vendors, `dri-vendor` on two of one vendor, `dri-same` on one.
/// `gl-cl` is a side of OpenGL and three of OpenCL, which read, write, and do both.
pub const SHIPPED: [(&str, &str); 10] = [
    ("desktop", include_str!("../../pipelines/desktop.toml")),
    ("fanout", include_str!("../../pipelines/fanout.toml")),
    ("camera", include_str!("../../pipelines/camera.toml")),
    ("vulkan", include_str!("../../pipelines/vulkan.toml")),
    ("wayland", include_str!("../../pipelines/wayland.toml")),
    ("capture", include_str!("../../pipelines/capture.toml")),
    ("dri", include_str!("../../pipelines/dri.toml")),
    ("dri-vendor", include_str!("../../pipelines/dri-vendor.toml")),
    ("dri-same", include_str!("../../pipelines/dri-same.toml")),
    ("gl-cl", include_str!("../../pipelines/gl-cl.toml")),
];

impl Pipeline {
    /// Reads and checks `text`; `file` is its name in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it. Of syntax errors, unknown keys and wrong types the first.
    ///
    /// ```
    /// use handover_cli::pipeline::{Pipeline, SHIPPED};
    /// let [(name, text), ..] = SHIPPED;
    /// assert_eq!(Pipeline::parse(text, name)?.participants.len(), 6);
    /// # Ok::<(), handover_cli::pipeline::Diagnostics>(())
    /// ```
    pub fn parse(text: &str, file: &str) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::new(text, file);
        let Some(raw) = file::read::<file::File>(text, &mut diagnostics) else { return Err(diagnostics) };
        let pipeline = resolve::resolve(&raw, &mut diagnostics);
        if diagnostics.is_empty() {
            graph::check(&pipeline, &raw, &mut diagnostics);
        }
        if diagnostics.is_empty() { Ok(pipeline) } else { Err(diagnostics) }
    }
}
