//! What was computed, in words and as JSON.

use std::fmt::Write as _;

use anstyle::Style;
use handover::layout::tiling::Placed;
use handover::{Elements, Extent, Format, Modifier};
use serde_json::{Value, json};

const BOLD: Style = Style::new().bold();

/// The vendor of `drm_fourcc.h` whose compressed layouts may have their data twice.
const AMD: u8 = 0x02;

/// An image and its planes.
pub(super) struct Report {
    pub(super) modifier: Modifier,
    pub(super) format: Format,
    pub(super) extent: Extent,
    pub(super) planes: Vec<Placed>,
    /// An element to give the offset of.
    pub(super) at: Option<(u32, u32)>,
}

impl Report {
    /// The first plane.
    pub(super) fn first(&self) -> Result<&Placed, String> {
        self.planes.first().ok_or_else(|| format!("{} has no planes", self.format))
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{BOLD}{}{BOLD:#}, {} ({:#018x})", self.format, self.modifier, self.modifier.0);
        for (index, plane) in self.planes.iter().enumerate() {
            let _ = writeln!(text, "\n{BOLD}plane {index}: {}{BOLD:#}", plane.tiling());
            self.plane(&mut text, plane);
        }
        text
    }

    fn plane(&self, text: &mut String, plane: &Placed) {
        let tiling = plane.tiling();
        let mut line = |name: &str, what: String| {
            let _ = writeln!(text, "  {name:<13} {what}");
        };
        let (width, height) = (plane.width().get(), plane.height());
        line("image", format!("{width} x {height} elements"));
        line("stride", format!("{} (a multiple of {})", plane.stride().get(), tiling.stride_unit().get()));
        line("rows", format!("{} ({} of padding)", plane.rows(), plane.rows().saturating_sub(height)));
        line("size", format!("{} bytes, from a multiple of {} on", plane.size().get(), plane.align().get()));
        let (wide, high) = tiling.block();
        line("block", format!("{} x {high} elements", wide.get()));
        line("side by side", format!("{} elements everywhere", plane.run().get()));
        line(
            "write unit",
            write_unit(plane).map_or("nobody says".into(), |(wide, high)| format!("{wide} x {high} elements")),
        );
        match bits(plane) {
            Some(bits) => {
                line("address bits", bits.iter().map(|(bit, of)| format!("{bit}: {of}")).collect::<Vec<_>>().join("  "))
            }
            None => line("address bits", "the order of blocks is irregular; --svg draws it".into()),
        }
        if tiling.is_compressed() {
            line("compressed", "the pixels are valid after their device has resolved them".into());
            match plane.planes() {
                Ok(planes) => {
                    // AMD keeps DCC twice where a display has its own.
                    let twice = self.modifier.vendor() == AMD && planes.len() > 2;
                    for (index, plane) in planes.iter().enumerate().skip(1) {
                        let (offset, stride, size) = (plane.offset.get(), plane.stride.get(), plane.size.get());
                        let of = match (twice, index) {
                            (false, _) => "",
                            (true, 1) => ", a display's",
                            (true, _) => ", the renderer's",
                        };
                        line("", format!("data {index}{of}: {size} bytes from {offset} on, stride {stride}"));
                    }
                }
                Err(error) => line("", error.to_string()),
            }
        }
        if let Some((x, y, offset)) = self.at(plane) {
            line("at", format!("({x}, {y}) is byte {offset} ({offset:#x})"));
        }
    }

    fn at(&self, plane: &Placed) -> Option<(u32, u32, u64)> {
        let (x, y) = self.at?;
        Some((x, y, plane.offset(Elements(x), y)?.get()))
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "modifier": format!("{:#018x}", self.modifier.0),
            "name": self.modifier.to_string(),
            "format": self.format.name(),
            "width": self.extent.width().get(),
            "height": self.extent.height().get(),
            "planes": self.planes.iter().map(|plane| self.plane_json(plane)).collect::<Vec<_>>(),
        })
    }

    fn plane_json(&self, plane: &Placed) -> Value {
        let tiling = plane.tiling();
        let (wide, high) = tiling.block();
        let data = |plane: &handover::PlaneLayout| json!({ "offset": plane.offset.get(), "stride": plane.stride.get(), "size": plane.size.get() });
        json!({
            "tiling": tiling.to_string(),
            "width": plane.width().get(),
            "height": plane.height(),
            "bytes_per_element": tiling.bytes_per_element().get(),
            "stride": plane.stride().get(),
            "stride_unit": tiling.stride_unit().get(),
            "rows": plane.rows(),
            "size": plane.size().get(),
            "align": plane.align().get(),
            "block": [wide.get(), high],
            "run": plane.run().get(),
            "write_unit": write_unit(plane).map(|(wide, high)| [wide, high]),
            "bits": bits(plane).map(|bits| bits.into_iter().map(|(_, of)| of).collect::<Vec<_>>()),
            "compressed": tiling.is_compressed(),
            "planes": plane.planes().ok().map(|planes| planes.iter().map(data).collect::<Vec<_>>()),
            "at": self.at(plane).map(|(x, y, offset)| json!({ "x": x, "y": y, "offset": offset })),
        })
    }
}

/// `None` where nobody says.
fn write_unit(plane: &Placed) -> Option<(u32, u32)> {
    let (wide, high) = plane.tiling().write_unit();
    (high < u32::MAX).then_some((wide.get(), high))
}

/// Each address bit above the element, with its number.
fn bits(plane: &Placed) -> Option<Vec<(u32, String)>> {
    let first = plane.tiling().bytes_per_element().get().trailing_zeros();
    Some((first..).zip(plane.tiling().bits()?.iter().map(ToString::to_string)).collect())
}
