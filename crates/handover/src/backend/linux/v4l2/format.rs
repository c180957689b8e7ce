//! Formats and sizes: what a layout is in V4L2's terms, and whether the driver takes it as it is.

use std::os::fd::OwnedFd;

use handover_model::{Format, Layout, Modifier, Stage};
use handover_sys::v4l2::{self, BufferType};

use crate::error::{Error, Kind, Result, os};
use crate::negotiate::Conflict;

/// Fields one after the other: whole frames (`V4L2_FIELD_NONE`).
const WHOLE_FRAMES: u32 = 1;

/// Sets the format; whatever the driver changes is a conflict. `device`: its name, for that.
pub(super) fn set(file: &OwnedFd, kind: BufferType, wanted: &v4l2::Format, device: &str) -> Result<()> {
    let set =
        v4l2::set_format(file, kind, wanted).map_err(os(Stage::Negotiate, format!("set the format of {device}")))?;
    let plane = |format: &v4l2::Format| format.planes.first().copied().unwrap_or_default();
    let differs = |field: &'static str, asked: String, found: String| {
        let conflict =
            Conflict { field, left: ("the surface".into(), asked.clone()), right: (device.into(), found.clone()) };
        Err(Error::new(Stage::Negotiate, Kind::Conflict(conflict))
            .asked(format!("{field} {asked}"))
            .found(found)
            .why("the device decides how its pictures lie, and nobody converts them")
            .help("another extent or format, or surfaces with the stride of the device"))
    };
    let ours = (wanted.width, wanted.height, plane(wanted));
    let theirs = (set.width, set.height, plane(&set));
    if set.pixel_format != wanted.pixel_format {
        return differs("format", fourcc(wanted.pixel_format), fourcc(set.pixel_format));
    }
    if (ours.0, ours.1) != (theirs.0, theirs.1) {
        return differs("extent", format!("{}x{}", ours.0, ours.1), format!("{}x{}", theirs.0, theirs.1));
    }
    if set.field != WHOLE_FRAMES {
        return differs("field", "whole frames".into(), format!("V4L2_FIELD number {}", set.field));
    }
    if ours.2.pitch != theirs.2.pitch {
        return differs("stride", format!("{} B", ours.2.pitch), format!("{} B", theirs.2.pitch));
    }
    if theirs.2.size > ours.2.size || set.planes.len() != 1 {
        let found = format!("{} buffers, the first of {} B", set.planes.len(), theirs.2.size);
        return differs("size", format!("one buffer of {} B", ours.2.size), found);
    }
    Ok(())
}

/// The layout in V4L2's terms.
pub(super) fn wanted(layout: &Layout) -> Result<v4l2::Format> {
    let refused = |found: String, why: &'static str| {
        Error::new(Stage::Negotiate, Kind::Unsupported).asked("a layout that V4L2 can say").found(found).why(why)
    };
    if layout.modifier() != Modifier::LINEAR {
        return Err(refused(layout.modifier().to_string(), "V4L2 knows no modifiers").help("negotiate LINEAR"));
    }
    let (Some(format), Some(extent), [plane]) = (layout.format(), layout.extent(), layout.planes()) else {
        return Err(refused(format!("{} planes", layout.planes().len()), "only images of one plane are told to V4L2"));
    };
    let pixel_format =
        pixel_format(format).ok_or_else(|| refused(format.name().into(), "V4L2 has no format of these bytes here"))?;
    let number =
        |bytes: u64| u32::try_from(bytes).map_err(|_| refused(format!("{bytes} B"), "V4L2 counts bytes in 32 bits"));
    Ok(v4l2::Format {
        width: extent.width().get(),
        height: extent.height().get(),
        pixel_format,
        field: WHOLE_FRAMES,
        planes: vec![v4l2::PlaneFormat { pitch: number(plane.stride.get())?, size: number(layout.size().get())? }],
        ..v4l2::Format::default()
    })
}

/// The code of V4L2 for pixels whose bytes lie as in this format, from `videodev2.h`.
fn pixel_format(format: Format) -> Option<u32> {
    let codes = [
        (Format::XRGB8888, b"XR24"),
        (Format::ARGB8888, b"AR24"),
        (Format::XBGR8888, b"XB24"),
        (Format::ABGR8888, b"AB24"),
    ];
    codes.iter().find(|(known, _)| *known == format).map(|(_, code)| u32::from_le_bytes(**code))
}

fn fourcc(code: u32) -> String {
    code.to_le_bytes().iter().map(|byte| char::from(*byte)).filter(char::is_ascii_graphic).collect()
}
