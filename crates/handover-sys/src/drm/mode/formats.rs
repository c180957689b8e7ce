//! The `IN_FORMATS` blob: which formats a plane shows under which modifiers.

use std::io;

use crate::uapi::mode::{FORMAT_BLOB_CURRENT, FormatModifier, FormatModifierBlob};

/// Reads the blob that the property `IN_FORMATS` of a plane names: pairs of fourcc code and modifier, as the kernel orders them.
///
/// Pure: makes no call. Errors: `InvalidData` (a version unknown here, or a list that leaves the blob).
///
/// ```
/// use handover_sys::drm::mode::parse_in_formats;
/// // One format, one modifier: a head of 24 bytes, a fourcc, padding, and 24 bytes for the modifier.
/// let mut blob = Vec::new();
/// for word in [1u32, 0, 1, 24, 1, 32, u32::from_le_bytes(*b"XR24"), 0] {
///     blob.extend(word.to_ne_bytes());
/// }
/// for word in [1u64, 0, 7] {
///     blob.extend(word.to_ne_bytes());
/// }
/// assert_eq!(parse_in_formats(&blob)?, [(u32::from_le_bytes(*b"XR24"), 7)]);
/// assert!(parse_in_formats(&blob[..55]).is_err());
/// # std::io::Result::Ok(())
/// ```
pub fn parse_in_formats(blob: &[u8]) -> io::Result<Vec<(u32, u64)>> {
    parse(blob).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no IN_FORMATS blob"))
}

fn parse(blob: &[u8]) -> Option<Vec<(u32, u64)>> {
    let head = [0, 4, 8, 12, 16, 20].map(|at| word32(blob, at));
    let [Some(version), Some(_flags), Some(count_formats), Some(formats_at), Some(count_modifiers), Some(modifiers_at)] =
        head
    else {
        return None;
    };
    if version != FORMAT_BLOB_CURRENT {
        return None;
    }
    let formats = list(blob, formats_at.max(HEAD), count_formats, size_of::<u32>())?;
    let modifiers = list(blob, modifiers_at.max(HEAD), count_modifiers, size_of::<FormatModifier>())?;
    let mut pairs = Vec::new();
    for entry in modifiers.chunks_exact(size_of::<FormatModifier>()) {
        let (mut mask, offset, modifier) = (word64(entry, 0)?, word32(entry, 8)? as usize, word64(entry, 16)?);
        while mask != 0 {
            let index = offset.checked_add(mask.trailing_zeros() as usize)?;
            pairs.push((word32(formats, index.checked_mul(size_of::<u32>())?)?, modifier));
            mask &= mask - 1;
        }
    }
    Some(pairs)
}

const HEAD: u32 = size_of::<FormatModifierBlob>() as u32;

fn list(blob: &[u8], at: u32, count: u32, size: usize) -> Option<&[u8]> {
    let length = (count as usize).checked_mul(size)?;
    blob.get(at as usize..)?.get(..length)
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_ne_bytes(*word))
}
