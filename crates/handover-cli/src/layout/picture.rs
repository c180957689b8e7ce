//! A block and the order of its bytes.
//!
//! Left: the pieces of a block, each a rectangle whose bytes lie together, coloured and joined in the order of memory. Right: the
//! elements of the first piece, in the same way. Where blocks do not follow each other in rows, the left shows several blocks.

use std::fmt::Write as _;

use handover::layout::tiling::{Placed, Tiling};
use handover::{Elements, Error};

use crate::chart::escaped;

/// Edges of a panel, in pixels, and of a cell.
const PANEL: f64 = 620.0;
const WIDEST: f64 = 76.0;
const HIGHEST: f64 = 52.0;
const MARGIN: f64 = 40.0;
/// Above the panels.
const TOP: f64 = 112.0;
/// Width of a letter of a title, of a number, and the size of numbers.
const BOLD: f64 = 8.4;
const LETTER: f64 = 6.2;
const NUMBER: f64 = 10.0;
/// From the first byte to the last: light to dark enough to read black numbers on (ColorBrewer YlGnBu).
const COLOURS: [[f64; 3]; 4] =
    [[255.0, 255.0, 217.0], [199.0, 233.0, 180.0], [127.0, 205.0, 187.0], [65.0, 160.0, 210.0]];
/// Blocks that show how an irregular order goes on: columns and rows.
const BLOCKS: (u32, u32) = (8, 4);

/// Cells in rows, each with the offset of its first byte.
struct Panel {
    title: String,
    columns: u32,
    rows: u32,
    offsets: Vec<u64>,
}

/// Draws the tiling.
pub(super) fn draw(tiling: &Tiling) -> Result<String, String> {
    let said = |error: Error| error.to_string();
    let (wide, high) = tiling.block();
    let (wide, high) = (wide.get(), high);
    let regular = tiling.bits().is_some();
    let (across, down) = if regular { (1, 1) } else { BLOCKS };
    let image = tiling.place(Elements(wide.saturating_mul(across)), high.saturating_mul(down), None).map_err(said)?;
    // A piece of an irregular order is a block; inside of it elements lie in the order of its first block.
    let (piece_wide, piece_high) = if regular { piece(&image, wide, high) } else { (wide, high) };
    let pieces = Panel {
        title: if regular {
            format!("a block of {wide} x {high} elements, in pieces of {piece_wide} x {piece_high}")
        } else {
            format!("{across} x {down} blocks of {wide} x {high} elements")
        },
        columns: image.width().get() / piece_wide,
        rows: image.height() / piece_high,
        offsets: offsets(&image, image.width().get(), image.height(), (piece_wide, piece_high)),
    };
    let elements = Panel {
        title: format!("the elements of the first {}", if regular { "piece" } else { "block" }),
        columns: piece_wide,
        rows: piece_high,
        offsets: offsets(&image, piece_wide, piece_high, (1, 1)),
    };
    let panels: Vec<Panel> = [pieces, elements].into_iter().filter(|panel| panel.offsets.len() > 1).collect();
    Ok(svg(tiling, &panels))
}

/// The least offset in every cell, row after row. A cell is so many elements wide and high.
fn offsets(image: &Placed, width: u32, height: u32, (wide, high): (u32, u32)) -> Vec<u64> {
    let corner = |x: u32, y: u32| {
        let inside = (0..high).flat_map(|dy| (0..wide).map(move |dx| (x + dx, y + dy)));
        inside.filter_map(|(x, y)| image.offset(Elements(x), y)).map(|offset| offset.get()).min().unwrap_or(0)
    };
    let rows = (0..height).step_by(high.max(1) as usize);
    rows.flat_map(|y| (0..width).step_by(wide.max(1) as usize).map(move |x| (x, y)))
        .map(|(x, y)| corner(x, y))
        .collect()
}

/// The rectangle of elements that lies in one piece everywhere in the block, of those the one with which both panels have few
/// cells.
fn piece(image: &Placed, wide: u32, high: u32) -> (u32, u32) {
    let edges = |most: u32| (0..=most.ilog2()).map(|log2| 1 << log2);
    let candidates = edges(wide).flat_map(|w| edges(high).map(move |h| (w, h)));
    let cells = |(w, h): (u32, u32)| (u64::from(wide / w) * u64::from(high / h)).max(u64::from(w) * u64::from(h));
    let whole = candidates.filter(|piece| lies_together(image, wide, high, *piece));
    whole.min_by_key(|piece| cells(*piece)).unwrap_or((1, 1))
}

fn lies_together(image: &Placed, wide: u32, high: u32, (w, h): (u32, u32)) -> bool {
    let bytes = u64::from(w) * u64::from(h) * image.tiling().bytes_per_element().get();
    let piece = |x: u32, y: u32| image.offset(Elements(x), y).map(|offset| offset.get() / bytes);
    (0..high).all(|y| (0..wide).all(|x| piece(x, y) == piece(x - x % w, y - y % h)))
}

fn svg(tiling: &Tiling, panels: &[Panel]) -> String {
    let sizes: Vec<(f64, f64)> = panels.iter().map(Panel::cell).collect();
    let widths = panels
        .iter()
        .zip(&sizes)
        .map(|(panel, cell)| (f64::from(panel.columns) * cell.0).max(BOLD * panel.title.len() as f64));
    let width = (widths.clone().sum::<f64>() + MARGIN * (panels.len() as f64 + 1.0)).max(680.0);
    let highest = panels.iter().zip(&sizes).map(|(panel, cell)| f64::from(panel.rows) * cell.1).fold(0.0, f64::max);
    let height = TOP + highest + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"32\" font-size=\"19\">{}</text>", escaped(&tiling.to_string()));
    let how = "numbers are offsets in bytes; the line goes through them in the order of memory, from the dot on";
    let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"54\" fill=\"#555\">{how}</text>");
    if let Some(bits) = tiling.bits() {
        let first = tiling.bytes_per_element().get().trailing_zeros();
        let bits: Vec<String> = bits.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"74\" fill=\"#555\" font-family=\"monospace\" font-size=\"11\">address bits {first} up: {}</text>",
            escaped(&bits.join(" "))
        );
    }
    let mut left = MARGIN;
    for ((panel, cell), width) in panels.iter().zip(&sizes).zip(widths) {
        panel.draw(&mut svg, left, *cell);
        left += width + MARGIN;
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    /// Width and height of a cell.
    fn cell(&self) -> (f64, f64) {
        ((PANEL / f64::from(self.columns)).min(WIDEST), (PANEL / f64::from(self.rows)).min(HIGHEST))
    }

    fn draw(&self, svg: &mut String, left: f64, (wide, high): (f64, f64)) {
        let _ = writeln!(
            svg,
            "<text x=\"{left:.1}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>",
            TOP - 12.0,
            escaped(&self.title)
        );
        let mut order: Vec<usize> = (0..self.offsets.len()).collect();
        order.sort_by_key(|index| self.offsets.get(*index));
        let place = |index: usize| {
            let (column, row) = (index % self.columns as usize, index / self.columns as usize);
            (left + column as f64 * wide, TOP + row as f64 * high)
        };
        let last = order.len().saturating_sub(1).max(1) as f64;
        for (rank, index) in order.iter().enumerate() {
            let (x, y) = place(*index);
            let fill = colour(rank as f64 / last);
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"{fill}\" stroke=\"white\"/>"
            );
        }
        let path: Vec<String> = order
            .iter()
            .map(|index| place(*index))
            .map(|(x, y)| format!("{:.1},{:.1}", x + wide / 2.0, y + high / 2.0))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#d55e00\" stroke-width=\"1.4\" stroke-opacity=\"0.55\" stroke-linejoin=\"round\"/>",
            path.join(" ")
        );
        if let Some((x, y)) = order.first().map(|index| place(*index)) {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"#d55e00\"/>",
                x + wide / 2.0,
                y + high / 2.0
            );
        }
        let longest = self.offsets.iter().max().map_or(1, |offset| offset.to_string().len());
        if longest as f64 * LETTER > wide || high < NUMBER + 2.0 {
            return;
        }
        for (index, offset) in self.offsets.iter().enumerate() {
            let (x, y) = place(index);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{NUMBER}\">{offset}</text>",
                x + 3.0,
                y + NUMBER + 1.0
            );
        }
    }
}

/// A colour between the first (0) and the last (1).
fn colour(part: f64) -> String {
    let steps = (COLOURS.len() - 1) as f64;
    let at = part.clamp(0.0, 1.0) * steps;
    let index = (at.floor() as usize).min(COLOURS.len() - 2);
    let within = at - index as f64;
    let (Some(from), Some(to)) = (COLOURS.get(index), COLOURS.get(index + 1)) else { return "#ffffff".into() };
    let [red, green, blue] = [0, 1, 2].map(|channel| {
        let ends = from.get(channel).zip(to.get(channel));
        ends.map_or(255.0, |(from, to)| from + (to - from) * within)
    });
    format!("#{:02x}{:02x}{:02x}", red as u8, green as u8, blue as u8)
}
