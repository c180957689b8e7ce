//! AMDGPU's import to the letter: the steps in order, and what refuses.
//!
//! 1. Descriptors and global names can be imported; handles of the display interface cannot. The same memory is the same object.
//! 2. A plane that does not begin at 0, or memory that is not dedicated to the image, has no metadata of its own: linear is assumed.
//! 3. Word and block are read. A writer that pretended to be another chip is refused at once.
//! 4. The layout is computed from the caller's template, with the swizzle or tile parameters of the word; or from the modifier, which
//!    supersedes word and block.
//! 5. The caller's offset and stride are taken where the layout allows them ([`stride`](super::stride)).
//! 6. Further planes must lie where the modifier puts them.
//! 7. The block says what becomes of DCC. If its image is larger than the caller's, the layout is computed again with its size.
//! 8. Everything must end within the buffer.
//! 9. Who does not promise to flush cannot keep a display DCC alive: DCC is dropped, and the metadata rewritten.
//!
//! Source: Mesa 25.0.7, `si_texture.c:si_texture_from_winsys_buffer`, `amdgpu_bo.c:amdgpu_bo_from_handle`. Mesa forgets DCC in step 9
//! without decompressing it first, and its own comment calls that wrong; here the step says to decompress.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::stride::Computed;
use crate::export::amdgpu::HandleUsage;
use crate::metadata::amdgpu::{Caller, Ignored, Level, Outcome, Reader, Reading, Reject, read};
use crate::{Bytes, Error, Kind, Metadata, Modifier, Result, Stage};

/// What was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Handle {
    /// A dma-buf.
    Descriptor,
    /// A name of GEM_FLINK, which any process can guess.
    GlobalName,
    /// A number that only the process knows which made it.
    Kms,
}

/// A plane as the caller places it, or as the layout does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// Where it begins.
    pub offset: Bytes,
    /// Its stride.
    pub stride: Bytes,
}

/// What a consumer asks for, and what its layout comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// What was received.
    pub handle: Handle,
    /// The importing device.
    pub reader: Reader,
    /// The image, its modifier, and the sizes of buffer, main surface and DCC.
    pub caller: Caller,
    /// Is the memory dedicated to this image?
    pub dedicated: bool,
    /// What the consumer will do.
    pub usage: HandleUsage,
    /// The layout that was computed.
    pub computed: Computed,
    /// Size of everything that was computed, DCC included.
    pub total: Bytes,
    /// Can a display read the layout?
    pub displayable: bool,
    /// The stride that the caller gives, if any.
    pub stride: Option<Bytes>,
    /// The planes past the first that the caller gives, and those that the layout has.
    pub planes: (&'a [Plane], &'a [Plane]),
}

/// One step of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Linear is assumed, whatever word and block say.
    AssumeLinear(Assumed),
    /// The layout of the modifier.
    LayoutOfModifier(Modifier),
    /// The layout of the word.
    LayoutOfWord,
    /// This stride.
    Stride(Bytes),
    /// These many further planes lie where they must.
    Planes(usize),
    /// What the block says about DCC.
    Block(Outcome),
    /// Compute the layout again with the size of the block, which is larger than the caller's, and see that it ends within the buffer.
    ComputeAgain {
        /// Width of the block's image in texels.
        width: u32,
        /// Height of the block's image in texels.
        height: u32,
    },
    /// Everything ends within the buffer.
    Fits,
    /// Decompress, drop DCC and rewrite word and block: nobody will call flush, and the display's DCC would go stale.
    DropDisplayDcc,
}

/// Why linear is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assumed {
    /// The plane does not begin at 0.
    Offset,
    /// The memory holds other things too.
    NotDedicated,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AssumeLinear(Assumed::Offset) => f.write_str("assume linear: metadata describes a plane at offset 0"),
            Self::AssumeLinear(Assumed::NotDedicated) => {
                f.write_str("assume linear: the memory is not the image's alone, so its metadata may be another's")
            }
            Self::LayoutOfModifier(modifier) => write!(f, "lay it out as {modifier}, which supersedes word and block"),
            Self::LayoutOfWord => f.write_str("lay it out as the tiling word says"),
            Self::Stride(stride) => write!(f, "take a stride of {stride}"),
            Self::Planes(count) => write!(f, "accept {count} further planes"),
            Self::Block(outcome) => write!(f, "metadata: {outcome}"),
            Self::ComputeAgain { width, height } => write!(
                f,
                "compute the layout again with {width}x{height} of the block, and see that it ends within the buffer"
            ),
            Self::Fits => f.write_str("everything ends within the buffer"),
            Self::DropDisplayDcc => {
                f.write_str("decompress, drop DCC and rewrite the metadata: nobody will call flush")
            }
        }
    }
}

/// What an import does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What word and block said.
    pub reading: Reading,
    /// Does the consumer go on with DCC?
    pub dcc: bool,
}

/// The steps above.
///
/// # Errors
/// `Unsupported` for a handle that cannot be imported; `Invalid` for a stride or plane that the layout does not have; `Malformed`
/// where word, block, caller and buffer contradict.
pub fn plan(request: &Request<'_>, metadata: &Metadata) -> Result<Plan> {
    let Request { caller, computed, .. } = request;
    if request.handle == Handle::Kms {
        return Err(Error::new(Stage::Import, Kind::Unsupported)
            .asked("an import of a KMS handle")
            .why("it is a number that means something only in the file that made it")
            .help("a dma-buf"));
    }
    let modifier = caller.modifier.filter(|modifier| *modifier != Modifier::INVALID);
    let mut steps = Vec::new();
    match modifier {
        Some(modifier) => steps.push(Step::LayoutOfModifier(modifier)),
        None if caller.offset != Bytes::ZERO => steps.push(Step::AssumeLinear(Assumed::Offset)),
        None if !request.dedicated => steps.push(Step::AssumeLinear(Assumed::NotDedicated)),
        None => steps.push(Step::LayoutOfWord),
    }
    let assumed = matches!(steps.first(), Some(Step::AssumeLinear(_)));
    if assumed && !computed.linear {
        return Err(Error::new(Stage::Import, Kind::Invalid)
            .asked("a tiled layout")
            .found("memory whose metadata does not describe it")
            .why("without metadata of its own the image is linear")
            .help("an explicit modifier"));
    }
    let reading = match steps.first() {
        Some(Step::AssumeLinear(Assumed::NotDedicated)) => Reading::only(Outcome::Ignored(Ignored::NotDedicated)),
        _ => read(&request.reader, caller, metadata.word, metadata.block.stored()),
    };
    let reading = match reading.outcome {
        Outcome::Reject(Reject::FamilyOverridden) => reading.accepted()?,
        _ => reading,
    };
    steps.push(Step::Stride(match request.stride {
        Some(stride) => computed.check(stride)?,
        None => computed.stride,
    }));
    check_planes(request.planes)?;
    if !request.planes.1.is_empty() {
        steps.push(Step::Planes(request.planes.1.len()));
    }
    let reading = reading.accepted()?;
    steps.push(Step::Block(reading.outcome));

    let dcc = match modifier {
        Some(_) => computed.has_metadata,
        None => reading.outcome.keeps_dcc(),
    };
    let size = if dcc || modifier.is_some() { request.total } else { caller.surface };
    if caller.offset.checked_add(size).is_none_or(|end| end > caller.buffer) {
        return Err(Error::new(Stage::Import, Kind::Malformed)
            .asked(format!("{size} from {} on", caller.offset))
            .found(format!("a buffer of {}", caller.buffer))
            .why("the layout ends past it"));
    }
    steps.push(match (reading.outcome, reading.descriptor) {
        (Outcome::AcceptLarger { .. }, Some(image)) => Step::ComputeAgain { width: image.width, height: image.height },
        _ => Step::Fits,
    });
    let promised = request.usage.contains(HandleUsage::EXPLICIT_FLUSH);
    let stale = dcc && modifier.is_none() && request.displayable && request.reader.level >= Level::Gfx9;
    if stale && !promised && request.dedicated {
        steps.push(Step::DropDisplayDcc);
        return Ok(Plan { steps, reading, dcc: false });
    }
    Ok(Plan { steps, reading, dcc })
}

impl Plan {
    /// Was the metadata used at all?
    pub fn uses_metadata(&self) -> bool {
        !matches!(self.reading.outcome, Outcome::Ignored(_))
    }
}

fn check_planes((given, expected): (&[Plane], &[Plane])) -> Result<()> {
    let refused = |asked| Error::new(Stage::Import, Kind::Invalid).asked(asked);
    if given.len() != expected.len() {
        return Err(refused(format!("{} planes past the first", given.len()))
            .why(format!("the modifier has {}", expected.len())));
    }
    let different = (1..).zip(given.iter().zip(expected)).find(|(_, (given, expected))| given != expected);
    match different {
        Some((index, (given, expected))) => {
            Err(refused(format!("plane {index} at {} with a stride of {}", given.offset, given.stride))
                .why(format!("the modifier puts it at {} with a stride of {}", expected.offset, expected.stride)))
        }
        None => Ok(()),
    }
}
