//! The byte stream of H.264 Annex B: NAL units, each behind a start code.

/// What stands before a NAL unit in a byte stream.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// `nal_unit_type` of a sequence and of a picture parameter set (H.264, table 7-1).
pub const PARAMETERS: [u8; 2] = [7, 8];

/// `nal_unit_type` of a unit, 0 (unspecified) for an empty one.
pub fn unit_type(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}

/// The NAL units of a byte stream, without their start codes and without zeros that trail them.
///
/// ```
/// use handover_cli::media::h264::nal_units;
/// let units: Vec<_> = nal_units(&[0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x68, 0]).collect();
/// assert_eq!(units, [&[0x67, 9][..], &[0x68]]);
/// ```
pub fn nal_units(stream: &[u8]) -> NalUnits<'_> {
    NalUnits { rest: after_start_code(stream).map_or(&[], |(_, rest)| rest) }
}

/// Iterator of [`nal_units`].
#[derive(Debug, Clone)]
pub struct NalUnits<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (unit, rest) = after_start_code(self.rest).unwrap_or((self.rest, &[]));
            self.rest = rest;
            // A unit never ends in a zero byte (H.264, 7.4.1); zeros there belong to the next start code or are stuffing.
            let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if let Some(unit) = unit.get(..end).filter(|unit| !unit.is_empty()) {
                return Some(unit);
            }
        }
        None
    }
}

/// What lies before and behind the first start code.
fn after_start_code(stream: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = stream.windows(3).position(|three| three == [0, 0, 1])?;
    Some((stream.get(..at)?, stream.get(at + 3..)?))
}
