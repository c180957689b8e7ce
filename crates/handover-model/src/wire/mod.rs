//! Messages between participants: little-endian, versioned, bounded, and parsed whole or not at all.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | "HNDO" |
//! | 4..6 | version of the messages, 1 |
//! | 6..8 | kind |
//! | 8..12 | length of the whole message |
//! | 12.. | fields of the kind, without padding |
//!
//! A message travels with a known number of descriptors, and a transport says how many came with it. Metadata never travels
//! in a message: whoever holds the handle reads the one copy that the allocation carries.

mod read;
mod surface;
mod write;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bitflags::bitflags;

use crate::{Error, Kind, Result, Stage};
use read::Reader;
pub use surface::SurfaceMessage;
use write::Writer;

/// The longest message. A surface with 64 cells takes less than half of it.
pub const MAX_MESSAGE: usize = 4096;
/// The longest text of a refusal, in bytes.
pub const MAX_TEXT: usize = 512;
/// The most surfaces of one pool: a bound on what a message can make a receiver map.
pub const MAX_SURFACES: u32 = 1024;
/// Version of the messages.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"HNDO";
const HEADER: usize = 12;

bitflags! {
    /// What a participant does on a stream.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Roles: u32 {
        /// It allocates and exports surfaces.
        const PRODUCER = 1;
        /// It imports surfaces and reads them.
        const CONSUMER = 2;
        /// It imports surfaces and writes them too.
        const WRITER = 4;
        /// The consumer's frames come as to a mailbox: the newest counts, none is held for it. Both sides say so.
        const MAILBOX = 8;
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one lives for a moment, where it is made or parsed; a list of them there is not"
)]
pub enum Message {
    /// The first message of each side.
    Hello {
        /// Version of the protocol the sender speaks beyond these messages.
        version: u32,
        /// What the sender does; at least one.
        roles: Roles,
    },
    /// A handle: this description, the pixel descriptor and the control descriptor, in this order.
    Surface(SurfaceMessage),
    /// A named writer has mapped the surface.
    Mapped {
        /// Index of the surface in its pool.
        index: u32,
    },
    /// The surface holds a frame to read.
    Frame {
        /// Index of the surface in its pool.
        index: u32,
        /// Number of the frame in its stream, from 1.
        frame: u64,
    },
    /// The sender needs the frame no longer, as soon as the fences it left in the reservation are done.
    Released {
        /// Index of the surface in its pool.
        index: u32,
        /// Number of the frame in its stream.
        frame: u64,
    },
    /// No more frames.
    End,
    /// The sender could not do its part and says why.
    Refused {
        /// Where it stopped.
        stage: Stage,
        /// Why, in words; at most [`MAX_TEXT`] bytes, the rest is cut off when it is sent.
        text: String,
    },
}

const HELLO: u16 = 1;
const SURFACE: u16 = 2;
const MAPPED: u16 = 3;
const FRAME: u16 = 4;
const RELEASED: u16 = 5;
const END: u16 = 6;
const REFUSED: u16 = 7;

impl Message {
    /// A word for the kind of message.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Surface(_) => "surface",
            Self::Mapped { .. } => "mapped",
            Self::Frame { .. } => "frame",
            Self::Released { .. } => "released",
            Self::End => "end",
            Self::Refused { .. } => "refused",
        }
    }

    /// How many descriptors travel with it.
    pub const fn descriptors(&self) -> usize {
        match self {
            Self::Surface(_) => 2,
            _ => 0,
        }
    }

    /// The bytes to send.
    ///
    /// ```
    /// use handover_model::wire::Message;
    /// let message = Message::Frame { index: 2, frame: 190 };
    /// assert_eq!(Message::parse(&message.encode(), 0)?, message);
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        let kind = match self {
            Self::Hello { version, roles } => {
                out.u32(*version);
                out.u32(roles.bits());
                HELLO
            }
            Self::Surface(surface) => {
                surface.write(&mut out);
                SURFACE
            }
            Self::Mapped { index } => {
                out.u32(*index);
                MAPPED
            }
            Self::Frame { index, frame } => {
                out.u32(*index);
                out.u64(*frame);
                FRAME
            }
            Self::Released { index, frame } => {
                out.u32(*index);
                out.u64(*frame);
                RELEASED
            }
            Self::End => END,
            Self::Refused { stage, text } => {
                out.u8(Stage::ALL.iter().position(|known| known == stage).unwrap_or_default() as u8);
                out.text(text, MAX_TEXT);
                REFUSED
            }
        };
        out.finish(kind)
    }

    /// Reads what a peer sent: all of `bytes`, and the number of descriptors that came with them.
    ///
    /// # Errors
    /// `Truncated` if the bytes end early; `Unsupported` for another version, or a format or modifier that is not known
    /// here; otherwise `Malformed`, naming the field. Nothing of a refused message is used.
    pub fn parse(bytes: &[u8], descriptors: usize) -> Result<Self> {
        if bytes.len() > MAX_MESSAGE {
            return Err(malformed("length", format!("{} bytes; a message has at most {MAX_MESSAGE}", bytes.len())));
        }
        let mut input = Reader::new(bytes);
        let kind = header(&mut input, bytes.len())?;
        let message = match kind {
            HELLO => {
                let version = input.u32("hello version")?;
                let bits = input.u32("roles")?;
                let roles = Roles::from_bits(bits).filter(|roles| !roles.is_empty());
                Self::Hello { version, roles: roles.ok_or_else(|| malformed("roles", format!("{bits:#x}")))? }
            }
            SURFACE => Self::Surface(SurfaceMessage::read(&mut input)?),
            MAPPED => Self::Mapped { index: index(&mut input)? },
            FRAME => Self::Frame { index: index(&mut input)?, frame: input.u64("frame")? },
            RELEASED => Self::Released { index: index(&mut input)?, frame: input.u64("frame")? },
            END => Self::End,
            REFUSED => {
                let stage = input.u8("stage")?;
                let stage = Stage::ALL.get(usize::from(stage)).copied();
                let stage = stage.ok_or_else(|| malformed("stage", "a number that no stage has".into()))?;
                Self::Refused { stage, text: input.text("text", MAX_TEXT)? }
            }
            unknown => return Err(malformed("kind", format!("{unknown}"))),
        };
        input.finish()?;
        if descriptors != message.descriptors() {
            let (word, wanted) = (message.word(), message.descriptors());
            return Err(malformed("descriptors", format!("{descriptors}; a {word} message brings {wanted}")));
        }
        Ok(message)
    }
}

fn header(input: &mut Reader<'_>, received: usize) -> Result<u16> {
    if input.array::<4>("magic")? != MAGIC {
        return Err(malformed("magic", "something else than \"HNDO\"".into()));
    }
    let version = input.u16("version")?;
    if version != VERSION {
        return Err(Error::new(Stage::Import, Kind::Unsupported)
            .found(format!("messages of version {version}"))
            .why(format!("this side speaks version {VERSION}"))
            .help("the same release on both sides"));
    }
    let kind = input.u16("kind")?;
    let length = input.u32("length")? as usize;
    if length > received {
        return Err(truncated("length", format!("{received} bytes of {length}")));
    }
    if length < received {
        return Err(malformed("length", format!("{length}, and {received} bytes were sent")));
    }
    Ok(kind)
}

fn index(input: &mut Reader<'_>) -> Result<u32> {
    let index = input.u32("index")?;
    if index >= MAX_SURFACES {
        return Err(malformed("index", format!("{index}; a pool has at most {MAX_SURFACES} surfaces")));
    }
    Ok(index)
}

fn malformed(field: &'static str, found: String) -> Error {
    Error::new(Stage::Import, Kind::Malformed)
        .found(found)
        .why(format!("the field `{field}` of a message cannot be so"))
}

fn truncated(field: &'static str, found: String) -> Error {
    Error::new(Stage::Import, Kind::Truncated).found(found).why(format!("the message ends at the field `{field}`"))
}
