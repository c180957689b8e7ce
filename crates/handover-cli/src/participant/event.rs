//! What a participant tells its parent: JSON over the control socket, bounded like every payload there.

use serde::{Deserialize, Serialize};

/// One message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The surfaces that it allocated.
    Allocated(Vec<Allocation>),
    /// Its surfaces were exported to a reader that has imported them.
    Exported(Exported),
    /// Objects were exported as the sides of an interop do.
    Interop(Exports),
    /// When frames were submitted and released. Sent every few hundred.
    Times(Times),
    /// It has done its part, as far as its peers let it.
    Done(Box<Tally>),
    /// It could not do its part.
    Failed {
        /// Where it stopped: one of the eight words.
        stage: String,
        /// Why.
        message: String,
    },
}

/// One surface, as it was allocated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Its place in its pool.
    pub index: u32,
    /// Who imports it by interop, and nobody else does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub importer: Option<String>,
    /// Do others share it? Else only its owner draws into it, and copies.
    pub shared: bool,
    /// The format.
    pub format: String,
    /// Width and height in pixels.
    pub extent: (u32, u32),
    /// The modifier, in words.
    pub modifier: String,
    /// Its number, as "0x…".
    pub modifier_code: String,
    /// Is that LINEAR?
    pub linear: bool,
    /// Has it room for compression? Exports decide whether that is used.
    pub compressed: bool,
    /// Bytes of it.
    pub bytes: u64,
}

/// What an export decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exported {
    /// Name of the reader.
    pub reader: String,
    /// Merged flags as text.
    pub flags: String,
    /// "kept", "dropped" or "never had".
    pub compression: String,
    /// Why.
    pub reason: String,
    /// Who makes the content readable: "by tracking", "by flush" or "nothing".
    pub resolve: String,
    /// Did this very export drop the compression?
    pub changed: bool,
    /// What keeps the reader from writing: "sealed", "descriptor" or "unenforced".
    pub read_only: String,
    /// Bytes between rows of the first plane.
    pub stride: u64,
    /// First bytes of the planes.
    pub offsets: Vec<u64>,
    /// Bytes of one surface.
    pub size: u64,
}

/// What one compute imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exports {
    /// Its name.
    pub importer: String,
    /// What it does with the texture: "READ", "WRITE" or "READ | WRITE".
    pub access: String,
    /// Its texture, then its buffer.
    pub objects: Vec<ObjectExport>,
}

/// The export of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectExport {
    /// "texture" or "buffer".
    pub object: String,
    /// What was asked for: "READ", "WRITE" or "READ | WRITE".
    pub access: String,
    /// The versions of the structs of request and answer that both sides speak.
    pub versions: (u32, u32),
    /// The flags that it amounts to.
    pub flags: String,
    /// Bytes of the object.
    pub bytes: u64,
    /// "kept", "dropped" or "never had".
    pub compression: String,
    /// Why.
    pub reason: String,
    /// Who makes the content readable: "by tracking", "by flush" or "nothing".
    pub resolve: String,
    /// What the driver of a chip of AMD's does at this export, in order.
    pub steps: Vec<String>,
}

/// What an `opengl` read of a compute's work, all of it right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// Name of the compute.
    pub importer: String,
    /// Frames.
    pub frames: u64,
}

/// Times on `CLOCK_MONOTONIC`, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Its own frames.
    pub submitted: Vec<Drawn>,
    /// What it read.
    pub held: Vec<Held>,
}

/// One frame of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// Its number.
    pub frame: u64,
    /// When it asked for a surface that nobody uses.
    pub asked: u64,
    /// When it had one.
    pub from: u64,
    /// When it submitted the frame.
    pub to: u64,
}

/// One frame of a peer, from the granted lease to its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Index of the input.
    pub input: usize,
    /// Number of the frame in its stream.
    pub frame: u64,
    /// When it began to wait for the next frame.
    pub asked: u64,
    /// When READ access was granted.
    pub from: u64,
    /// When it was given back.
    pub to: u64,
}

/// Everything a participant counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Frames of its own that it published.
    pub submitted: u64,
    /// Rounds of frames it read, one frame of each input.
    pub shown: u64,
    /// Bytes of pixels that its CPU drew into surfaces, as if nothing were compressed.
    pub frame_bytes: u64,
    /// Bytes of pixels that it copied from its private surface into LINEAR ones.
    pub linear_copy_bytes: u64,
    /// SHA-256 of all frames it published, as [`InputTally::content_sha256`] has them, if it was to be known.
    pub content_sha256: Option<String>,
    /// Its own frames that a reader's full queue did not take.
    pub dropped: u64,
    /// Each input.
    pub inputs: Vec<InputTally>,
    /// What it read of the work of computes.
    pub read_back: Vec<ReadBack>,
    /// Where its time went.
    pub time: Time,
    /// What went over the sockets of its streams while frames went, as it saw it.
    pub sockets: Sockets,
    /// Bytes it read.
    pub reads: Option<Reads>,
    /// Descriptors it had open.
    pub descriptors: Descriptors,
    /// Compression blocks that `flush` had to write out.
    pub flushed_blocks: u64,
    /// It had no more to show after so many frames, fewer than the run was to have.
    pub ended_at: Option<u64>,
    /// Readers that never took part.
    pub without: Vec<Without>,
    /// Its device of Vulkan, if it draws by one.
    pub vulkan: Option<Vulkan>,
}

/// A device of Vulkan: what its driver says of it, and its part in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vulkan {
    /// Name of the device.
    pub device: String,
    /// "discrete", "integrated", "virtual", "cpu" or "other".
    pub class: String,
    /// Name of the driver, and what it says about itself.
    pub driver: String,
    /// Version of Vulkan.
    pub version: String,
    /// Of the extensions that matter here, those it has.
    pub extensions: Vec<String>,
    /// Those it has not.
    pub missing: Vec<Missing>,
    /// Can its jobs wait for a sync_file? Else the CPU waits in their stead.
    pub waits_for_sync_files: bool,
    /// Can the end of a job become a sync_file? Else the CPU waits for it.
    pub gives_sync_files: bool,
    /// Can a timeline of the kernel be a semaphore?
    pub shares_timelines: bool,
    /// Does the driver put fences into the buffers of its jobs by itself? "yes" or "none was seen", measured once.
    pub attaches_fences: String,
    /// What it draws to and samples.
    pub images: Vec<Images>,
    /// Jobs of the run.
    pub jobs: u64,
    /// Fences of others that its jobs waited for on the device.
    pub fences_taken: u64,
    /// Jobs whose fence went to those who come next. The others had ended when they were handed on.
    pub fences_given: u64,
}

/// An extension that a driver has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// As the specification names it.
    pub name: String,
    /// What is not to be had without it.
    pub gives: String,
}

/// Images of one producer's surfaces, as they were negotiated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Name of the producer.
    pub of: String,
    /// The format.
    pub format: String,
    /// The modifier.
    pub modifier: String,
    /// Planes in memory.
    pub planes: usize,
    /// Are there planes besides those of the format? They hold compression.
    pub compressed: bool,
}

/// A reader that a producer went on without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    /// Its name.
    pub reader: String,
    /// Why, in words.
    pub why: String,
}

/// One input's counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InputTally {
    /// Name of the producer.
    pub producer: String,
    /// Frames read.
    pub taken: u64,
    /// Frames of a mailbox that were passed over.
    pub skipped: u64,
    /// Did the producer go away without ending the stream?
    pub gone: bool,
    /// SHA-256 of the frames read, one after the other, each row by row: blue, green, red, alpha, which is 255 in a format without. `null`:
    /// a mailbox, copies, or no simulated chip took part.
    pub content_sha256: Option<String>,
}

/// Time by cause, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Waiting for fences in reservations.
    pub fence: u64,
    /// Waiting for a surface that nobody uses.
    pub pool_empty: u64,
    /// Waiting for a peer: its next frame, its reading of a copy, and at the end its last releases.
    pub peer: u64,
    /// Waiting for a device of the kernel's: a camera's next picture, an output's next surface, a screen's flip.
    pub device: u64,
    /// Decoding, drawing, converting, copying.
    pub cpu: u64,
    /// Writing compression out for readers that wait for it.
    pub flush: u64,
    /// Encoding and writing.
    pub encoder: u64,
    /// Keeping frames because the pipeline says so (`hold_ms`).
    pub hold: u64,
}

/// Bytes and messages on the sockets of streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// Sent by this end.
    pub sent_bytes: u64,
    /// Sent by this end.
    pub sent_messages: u64,
    /// Bytes that this end received and that were no messages of the stream.
    pub payload_bytes: u64,
    /// Descriptors that went either way; all of them go before the first frame.
    pub descriptors: u64,
}

/// What `/proc/thread-self/io` says of read calls between the first and the last frame (`rchar`; `recvmsg` is not in it), of the
/// thread that handles the frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// All bytes.
    pub all: u64,
    /// Of these, what it read from files of its own (the clip, `/proc/thread-self/io`).
    pub own: u64,
}

/// Open descriptors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// After the first frame.
    pub start: Option<u64>,
    /// After frame 100.
    pub frame_100: Option<u64>,
    /// After the last frame.
    pub end: Option<u64>,
}
