//! Pixels in tiles, and one byte for each 256 bytes of them that says whether they are stored at all.
//!
//! The tiles are those of real chips and of the simulated device `blocks`. The compression is ours on all of them: the data of real
//! ones is documented nowhere, so a simulated chip puts its own where the real one has its own, in a plane of the same size.
//!
//! Clearing is fast and private: it marks blocks as cleared and keeps the colour in the producer. What a consumer would
//! make of such a block is the metadata's clear colour, which never changes. *Resolving* therefore turns cleared blocks into
//! single-colour ones, which describe themselves.
//!
//! Some layouts have the compression data twice: the one that is drawn by, and one for a display, which lags behind until it is *retiled*
//! from the first. Resolving and retiling are all that `flush` does, and why leaving it out shows.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use handover_model::layout::blocks::CompressionState;
use handover_model::{Bytes, Elements, Layout, Resolve, Stage};
use handover_sys::map::{Pixels, PixelsMut};
use handover_sys::tiles::{TileMap, Window};

use super::states::{BLOCK, States, broken};
use super::{At, maps, outside};
use crate::error::{Error, Kind, Result};

/// The clear colour in the metadata of every surface: opaque black, as XRGB8888 and ARGB8888 have it.
pub(crate) const DEFAULT_CLEAR: u32 = 0xff00_0000;

/// By which compression data a side reads, where a layout has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Engine {
    /// What draws and samples: by its own, which it keeps up to date.
    Renderer,
    /// What scans out: by the display's, as somebody left it.
    Display,
}

/// How one side of a tiled surface reads and writes it.
#[derive(Debug)]
pub(crate) struct Codec {
    planes: Vec<Plane>,
    states: Option<States>,
    /// The display's, where there is one and this side draws.
    display: Option<States>,
    compressed: AtomicBool,
    /// The colour of cleared blocks: the producer's private one, or for a consumer that of the metadata.
    clear: AtomicU32,
    /// Has a block been cleared since the last resolve?
    dirty: AtomicBool,
    /// Has a block changed its state since the display's were made?
    stale: AtomicBool,
    tracking: AtomicBool,
}

/// One plane of pixels.
#[derive(Debug)]
pub(super) struct Plane {
    /// Its first byte, from the start of the memory.
    pub(super) begin: usize,
    pub(super) map: TileMap,
}

impl Codec {
    pub(crate) fn of(layout: &Layout, clear: u32, engine: Engine) -> Result<Self> {
        Self::over(maps::of(layout)?, layout, clear, engine)
    }

    /// A codec that inverts one bit of every address, to show that this shows. Of what is compressed that is the pixels that are stored.
    pub(super) fn with_flipped_bit(layout: &Layout, bit: u32, clear: u32, engine: Engine) -> Result<Self> {
        Self::over(maps::with_flipped_bit(layout, bit)?, layout, clear, engine)
    }

    fn over(planes: Vec<Plane>, layout: &Layout, clear: u32, engine: Engine) -> Result<Self> {
        let (states, display) = match (States::of(layout)?, engine) {
            ((_, Some(display)), Engine::Display) => (Some(display), None),
            (both, _) => both,
        };
        Ok(Self {
            planes,
            states,
            display,
            compressed: AtomicBool::new(states.is_some()),
            clear: AtomicU32::new(clear),
            dirty: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            tracking: AtomicBool::new(false),
        })
    }

    pub(super) fn is_tracking(&self) -> bool {
        self.tracking.load(Ordering::SeqCst) && (self.is_dirty() || self.is_stale())
    }

    /// Is the compression plane in use?
    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed.load(Ordering::Relaxed)
    }

    pub(super) fn set_compressed(&self, compressed: bool) {
        self.compressed.store(compressed, Ordering::Relaxed);
    }

    /// Has a block been cleared since the last resolve?
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::SeqCst)
    }

    /// Has it compression data for a display, in use?
    pub(crate) fn has_display(&self) -> bool {
        self.display.is_some() && self.is_compressed()
    }

    /// Has a block changed its state since those for the display were made?
    pub(crate) fn is_stale(&self) -> bool {
        self.has_display() && self.stale.load(Ordering::SeqCst)
    }

    /// What an export decided.
    pub(crate) fn set_resolve(&self, resolve: Resolve) {
        // Sequentially consistent, as `dirty` and `stale`: an export stores this and looks at that, the end of a submission the other
        // way round, and one of the two must see the other.
        self.tracking.store(resolve == Resolve::ByTracking, Ordering::SeqCst);
    }

    /// The compression data, while it is in use.
    fn states(&self) -> Option<States> {
        self.states.filter(|_| self.is_compressed())
    }

    fn plane(&self, at: At, length: usize) -> Result<&Plane> {
        self.planes.get(at.plane).ok_or_else(|| outside(at, Bytes(length as u64)))
    }

    /// The run of a row as a window.
    fn window(plane: &Plane, at: At, length: usize) -> Result<Window> {
        let element = plane.map.element();
        if !length.is_multiple_of(element) {
            return Err(outside(at, Bytes(length as u64)));
        }
        Ok(Window { x: at.x.get() as usize, y: at.y as usize, width: length / element, height: 1 })
    }

    pub(super) fn read(&self, pixels: &Pixels<'_>, at: At, into: &mut [u8]) -> Result<()> {
        let plane = self.plane(at, into.len())?;
        let window = Self::window(plane, at, into.len())?;
        if !pixels.detile(plane.begin, &plane.map, window, into, into.len()) {
            return Err(outside(at, Bytes(into.len() as u64)));
        }
        match self.states() {
            Some(states) if at.plane == 0 => self.colour_row(plane, states, pixels, window, into),
            _ => Ok(()),
        }
    }

    /// Puts the colours of blocks whose pixels are not stored into a row that was read.
    fn colour_row(
        &self,
        plane: &Plane,
        states: States,
        pixels: &Pixels<'_>,
        window: Window,
        row: &mut [u8],
    ) -> Result<()> {
        let element = plane.map.element();
        let mut known = (usize::MAX, None);
        for (x, pixel) in (window.x..).zip(row.chunks_exact_mut(element)) {
            let block = plane.map.offset(x, window.y).unwrap_or(0) / BLOCK;
            if block != known.0 {
                known = (block, self.colour(plane, states, pixels, block)?);
            }
            if let Some(colour) = &known.1 {
                pixel.copy_from_slice(colour.get(..element).unwrap_or_default());
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, pixels: &PixelsMut<'_>, at: At, from: &[u8]) -> Result<()> {
        let plane = self.plane(at, from.len())?;
        let window = Self::window(plane, at, from.len())?;
        if let Some(states) = self.states().filter(|_| at.plane == 0) {
            let mut known = usize::MAX;
            for x in window.x..window.x + window.width {
                let offset = plane.map.offset(x, window.y).ok_or_else(|| outside(at, Bytes(from.len() as u64)))?;
                if offset / BLOCK != known {
                    known = offset / BLOCK;
                    self.expand(plane, states, pixels, known)?;
                }
            }
            self.drawn();
        }
        if pixels.tile(plane.begin, &plane.map, window, from, from.len()) {
            return Ok(());
        }
        Err(outside(at, Bytes(from.len() as u64)))
    }

    pub(super) fn read_image(&self, pixels: &Pixels<'_>, plane: usize, into: &mut [u8], stride: usize) -> Result<()> {
        let (at, length) = (At { plane, x: Elements(0), y: 0 }, into.len());
        let own = self.plane(at, length)?;
        own.check_stride(at, stride, length)?;
        if !pixels.detile(own.begin, &own.map, Window::whole(&own.map), into, stride) {
            return Err(incomplete(at, length));
        }
        let Some(states) = self.states().filter(|_| plane == 0) else { return Ok(()) };
        let row_bytes = own.map.width() * own.map.element();
        for (y, row) in into.chunks_mut(stride).take(own.map.height()).enumerate() {
            let window = Window { x: 0, y, width: own.map.width(), height: 1 };
            self.colour_row(own, states, pixels, window, row.get_mut(..row_bytes).unwrap_or_default())?;
        }
        Ok(())
    }

    /// A block of one colour is marked as such afterwards, if the device compresses.
    pub(super) fn write_image(&self, pixels: &PixelsMut<'_>, plane: usize, from: &[u8], stride: usize) -> Result<()> {
        let at = At { plane, x: Elements(0), y: 0 };
        let own = self.plane(at, from.len())?;
        own.check_stride(at, stride, from.len())?;
        if !pixels.tile(own.begin, &own.map, Window::whole(&own.map), from, stride) {
            return Err(incomplete(at, from.len()));
        }
        let Some(states) = self.states().filter(|_| plane == 0) else { return Ok(()) };
        self.drawn();
        let mut content = [0; BLOCK];
        for block in 0..states.blocks {
            if !pixels.read(own.begin + block * BLOCK, &mut content) {
                return Err(broken(block));
            }
            let (first, rest) = content.split_at_mut(own.map.element().min(BLOCK));
            let is_single = rest.chunks_exact(own.map.element()).all(|pixel| pixel == first);
            if is_single {
                // Only the first pixel is stored: whoever ignores the compression data must not see the picture all the same.
                rest.fill(0);
                own.store(pixels, block, &content)?;
            }
            let state = if is_single { CompressionState::Single } else { CompressionState::Expanded };
            states.set(pixels, block, state)?;
        }
        Ok(())
    }

    /// Marks every block as cleared; without compression, writes the colour.
    pub(super) fn clear(&self, pixels: &PixelsMut<'_>, pixel: u32) -> Result<()> {
        let at = At { plane: 0, x: Elements(0), y: 0 };
        let own = self.plane(at, 0)?;
        let bytes = pixel.to_le_bytes();
        let element = bytes.get(..own.map.element()).ok_or_else(|| {
            Error::new(Stage::Access, Kind::Unsupported)
                .asked("a clear with one value of 4 bytes")
                .found(format!("pixels of {} bytes", own.map.element()))
                .help("write the rows")
        })?;
        if let Some(states) = self.states() {
            self.clear.store(pixel, Ordering::Relaxed);
            self.dirty.store(true, Ordering::SeqCst);
            self.drawn();
            return (0..states.blocks).try_for_each(|block| states.set(pixels, block, CompressionState::Cleared));
        }
        let row = element.repeat(own.map.width());
        (0..own.map.height()).try_for_each(|y| self.write(pixels, At { y: y as u32, ..at }, &row))
    }

    /// Turns cleared blocks into single-colour ones. Gives how many.
    pub(crate) fn resolve(&self, pixels: &PixelsMut<'_>) -> Result<u32> {
        let (Some(states), Some(plane)) = (self.states(), self.planes.first()) else { return Ok(0) };
        let mut resolved = 0;
        for block in 0..states.blocks {
            if states.get(&pixels.as_pixels(), block)? == CompressionState::Cleared {
                let colour = self.clear_colour();
                plane.store(pixels, block, colour.get(..plane.map.element()).unwrap_or_default())?;
                states.set(pixels, block, CompressionState::Single)?;
                resolved += 1;
            }
        }
        self.dirty.store(false, Ordering::Relaxed);
        if resolved > 0 {
            self.drawn();
        }
        Ok(resolved)
    }

    /// Makes the display's compression data of the renderer's. Gives for how many blocks it differed.
    ///
    /// Whoever draws does so under a lease of the whole surface ([`allocate`](crate::allocate()) sees to that), and so does who calls this.
    pub(crate) fn retile(&self, pixels: &PixelsMut<'_>) -> Result<u32> {
        let (Some(from), Some(to)) = (self.states(), self.display) else { return Ok(0) };
        let mut retiled = 0;
        for block in 0..from.blocks {
            let state = from.get(&pixels.as_pixels(), block)?;
            // What a peer scribbled there is made right as well.
            if to.get(&pixels.as_pixels(), block).ok() != Some(state) {
                to.set(pixels, block, state)?;
                retiled += 1;
            }
        }
        self.stale.store(false, Ordering::Relaxed);
        Ok(retiled)
    }

    /// The display's compression data lags behind from here on.
    fn drawn(&self) {
        if self.display.is_some() {
            self.stale.store(true, Ordering::SeqCst);
        }
    }

    /// Stores every pixel and gives up the compression plane. Gives how many blocks were not stored before.
    pub(crate) fn decompress(&self, pixels: &PixelsMut<'_>) -> Result<u32> {
        let mut expanded = 0;
        if let (Some(states), Some(plane)) = (self.states(), self.planes.first()) {
            for block in 0..states.blocks {
                expanded += u32::from(self.expand(plane, states, pixels, block)?);
            }
        }
        self.set_compressed(false);
        Ok(expanded)
    }

    fn expand(&self, plane: &Plane, states: States, pixels: &PixelsMut<'_>, block: usize) -> Result<bool> {
        let Some(colour) = self.colour(plane, states, &pixels.as_pixels(), block)? else { return Ok(false) };
        let element = plane.map.element();
        let content = colour.get(..element).unwrap_or_default().repeat(BLOCK / element);
        plane.store(pixels, block, &content)?;
        states.set(pixels, block, CompressionState::Expanded)?;
        Ok(true)
    }

    /// The one colour of a block, or `None` if its pixels are stored.
    fn colour(&self, plane: &Plane, states: States, pixels: &Pixels<'_>, block: usize) -> Result<Option<[u8; 16]>> {
        Ok(match states.get(pixels, block)? {
            CompressionState::Expanded => None,
            CompressionState::Single => {
                let mut colour = [0; 16];
                if !pixels.read(plane.begin + block * BLOCK, &mut colour) {
                    return Err(broken(block));
                }
                Some(colour)
            }
            CompressionState::Cleared => Some(self.clear_colour()),
        })
    }

    fn clear_colour(&self) -> [u8; 16] {
        u128::from(self.clear.load(Ordering::Relaxed)).to_le_bytes()
    }
}

impl Plane {
    /// Even one row has to fit its stride, as in a linear surface.
    fn check_stride(&self, at: At, stride: usize, length: usize) -> Result<()> {
        if stride >= self.map.width() * self.map.element() { Ok(()) } else { Err(incomplete(at, length)) }
    }

    fn store(&self, pixels: &PixelsMut<'_>, block: usize, content: &[u8]) -> Result<()> {
        if pixels.write(self.begin + block * BLOCK, content) { Ok(()) } else { Err(broken(block)) }
    }
}

fn incomplete(at: At, length: usize) -> Error {
    outside(at, Bytes(length as u64)).help("pass an image that has every row of the plane")
}
