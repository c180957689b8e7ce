//! Tiling: 4K images copied into tiled memory and out of it, against a memcpy of the same bytes; and a small damage rectangle,
//! against the same rectangle of a linear plane.

use std::fs::File;
use std::hint::black_box;

use handover::tiles;
use handover_model::layout::tiling::{ArrayMode, Gfx8, MicroTile, Parameters, Plane, Qualcomm};
use handover_model::layout::tiling::{SupertileOrder, Tiling};
use handover_model::{Bytes, Elements, Modifier};
use handover_sys::map::{Mapping, PixelsMut, Populate};
use handover_sys::memfd;
use handover_sys::tiles::{TileMap, Window};
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::figures::Samples;
use super::report::{Budget, Line, Table};
use super::{Effort, Result, machine};

const WIDTH: u32 = 3840;
const HEIGHT: u32 = 2160;
const BYTES: u64 = 4;
const DAMAGE: usize = 64;

/// A memcpy takes at least 0.9 of our time where people copy most, and at least 0.4 elsewhere.
const NEAR: Budget = Budget::Ratio(1.11);
const FAR: Budget = Budget::Ratio(2.5);

/// Modifier, bytes of an element, budget both ways.
const LAYOUTS: &[(u64, u64, Option<Budget>)] = &[
    (0x0100_0000_0000_0001, BYTES, Some(NEAR)),
    (0x0100_0000_0000_0002, BYTES, Some(NEAR)),
    (0x0100_0000_0000_0009, BYTES, Some(NEAR)),
    (0x0200_0000_0000_0901, BYTES, Some(NEAR)),
    (0x0200_0000_0000_0a01, BYTES, Some(NEAR)),
    (0x0200_0000_0080_1b02, BYTES, Some(NEAR)),
    (0x0300_0000_0060_6014, BYTES, Some(NEAR)),
    (0x0100_0000_0000_0003, BYTES, Some(FAR)),
    (0x00ff_ffff_ffff_ffff, BYTES, Some(FAR)),
    (0x0200_0000_0480_1901, BYTES, Some(FAR)),
    (0x0200_0000_0480_1a01, BYTES, Some(FAR)),
    (0x0200_0000_28a0_1f04, BYTES, Some(FAR)),
    (0x0200_0000_0000_0305, BYTES, Some(FAR)),
    (0x0200_0000_0000_0405, BYTES, Some(FAR)),
    (0x0300_0000_0000_0014, BYTES, Some(FAR)),
    (0x0300_0000_004f_e014, BYTES, Some(FAR)),
    (0x0300_0000_0000_0001, BYTES, Some(FAR)),
    (0x0500_0000_0000_0003, BYTES, Some(FAR)),
    (0x0600_0000_0000_0001, BYTES, Some(FAR)),
    (0x0600_0000_0000_0002, BYTES, Some(FAR)),
    (0x0700_0000_0000_0001, BYTES, Some(FAR)),
    (0x0700_0000_0000_0006, BYTES, Some(FAR)),
    (0x0700_0000_0008_7004, BYTES, Some(FAR)),
    (0x0810_0000_0000_0001, BYTES, Some(FAR)),
    (0x0c00_0000_0000_0001, BYTES, Some(FAR)),
    (0x0400_0000_0000_0001, 1, Some(FAR)),
    (0x0400_0000_0000_0002, 1, Some(FAR)),
    (0x0900_0000_0000_0001, 1, Some(FAR)),
    (0x0b00_0000_0000_0001, 1, Some(FAR)),
    (0x0100_0000_0000_0002, 1, None),
    (0x0100_0000_0000_0002, 2, None),
    (0x0100_0000_0000_0002, 8, None),
    (0x0100_0000_0000_0002, 16, None),
    (0x0200_0000_0080_1b02, 1, None),
    (0x0200_0000_0080_1b02, 2, None),
    (0x0200_0000_0080_1b02, 8, None),
    (0x0810_0000_0000_0001, 1, None),
    (0x0810_0000_0000_0001, 2, None),
    (0x0810_0000_0000_0001, 8, None),
    (0x0810_0000_0000_0001, 16, None),
];

/// What these modifiers leave unsaid, as some chip has it.
const PARAMETERS: Parameters = Parameters {
    amd_gfx8: Some(Gfx8 {
        array_mode: ArrayMode::Tiled2D,
        micro_tile: MicroTile::Display,
        pipe_config: 12,
        pipes: 8,
        banks: 16,
        bank_width: 1,
        bank_height: 4,
        macro_aspect: 4,
        tile_split: Bytes(512),
    }),
    qualcomm: Some(Qualcomm { highest_bank_bit: 15, bank_swizzle_levels: 6, macrotile_channels: 8 }),
    vivante_supertile: Some(SupertileOrder::ZOrder),
    intel_bit6: None,
    plane: Some(Plane::Luma),
    sand_first_row: None,
};

pub(super) fn run(effort: Effort) -> Result<Vec<Table>> {
    let Some(&cpu) = machine::cpus()?.last() else { return Err("no CPU to run on".into()) };
    let _pinned = machine::pin(cpu)?;
    let note = "CPU time; 0.9 of a memcpy is a ratio of 1.11, 0.4 is 2.5; a memfd on the tiled side, plain memory on the other; \
                images of 3840 x 2160 at 4 bytes and more an element, of as many bytes at less";
    let mut images = Table::new("images of 4K, each way against a memcpy beside it", note);
    let note = "64 x 64 elements in the middle of the image, in cache; each way against rows of a linear memfd";
    let mut damage = Table::new("a damage rectangle", note);
    for &(modifier, element, budget) in LAYOUTS {
        let case = Case::new(modifier, element)?;
        case.images(effort, budget, &mut images)?;
        if matches!(budget, Some(budget) if budget == NEAR) {
            case.damage(effort, &mut damage)?;
        }
    }
    Ok(vec![images, damage])
}

/// One layout of an image, its tables, and memory that holds it.
struct Case {
    name: String,
    element: usize,
    map: TileMap,
    memory: Mapping,
}

impl Case {
    fn new(modifier: u64, element: u64) -> Result<Self> {
        let tiling = Tiling::of(Modifier(modifier), Bytes(element), &PARAMETERS)?;
        let (width, height) =
            (WIDTH * BYTES as u32 / element.max(BYTES) as u32, HEIGHT * BYTES as u32 / element.min(BYTES) as u32);
        // A column of SAND is as high as its modifier says.
        let placed =
            tiling.place(Elements(width), height, None).or_else(|_| tiling.place(Elements(width), HEIGHT, None))?;
        let map = tiles::map(&placed).ok_or_else(|| format!("{tiling} has no map"))?;
        let size = usize::try_from(placed.size().get())?;
        let file = File::from(memfd::create("handover-bench", size as u64)?);
        let memory = Mapping::new(&file, size, Populate::Now)?;
        Ok(Self { name: tiling.to_string(), element: usize::try_from(element)?, map, memory })
    }

    fn pixels(&self) -> Result<PixelsMut<'_>> {
        Ok(self.memory.pixels_mut(0..self.memory.len()).ok_or("a mapping that is too small")?)
    }

    fn images(&self, effort: Effort, budget: Option<Budget>, table: &mut Table) -> Result<()> {
        let (pixels, window) = (self.pixels()?, Window::whole(&self.map));
        let stride = window.width * self.element;
        let image: Vec<u8> = (0..stride * window.height).map(|at| (at * 31) as u8).collect();
        let (mut copy, mut back) = (vec![1; image.len()], vec![2; image.len()]);
        let mut floors = [Samples::default(), Samples::default()];
        let mut ours = floors.clone();
        for _ in 0..effort.of(21, 5) {
            floors[0].add_turn(vec![time(|| black_box(&mut copy).copy_from_slice(black_box(&image)))]);
            ours[0].add_turn(vec![time(|| assert!(pixels.tile(0, &self.map, window, black_box(&image), stride)))]);
            floors[1].add_turn(vec![time(|| black_box(&mut copy).copy_from_slice(black_box(&image)))]);
            ours[1].add_turn(vec![time(|| assert!(pixels.detile(0, &self.map, window, black_box(&mut back), stride)))]);
        }
        if back != image {
            return Err(format!("{}: what came back is another image", self.name).into());
        }
        for ((way, ours), floor) in ["in", "out"].into_iter().zip(&ours).zip(&floors) {
            let line = Line::new(format!("{}, {way}", self.name), ours).against("memcpy", ours, floor);
            table.push(match budget {
                Some(budget) => line.budget(budget),
                None => line,
            });
        }
        Ok(())
    }

    fn damage(&self, effort: Effort, table: &mut Table) -> Result<()> {
        let pixels = self.pixels()?;
        let window =
            Window { x: self.map.width() / 2 + 3, y: self.map.height() / 2 + 5, width: DAMAGE, height: DAMAGE };
        let (row, stride) = (DAMAGE * self.element, self.map.width() * self.element);
        let begin = window.y * stride + window.x * self.element;
        let mut rect = vec![3; row * DAMAGE];
        let mut floors = [Samples::default(), Samples::default()];
        let mut ours = floors.clone();
        let repeat = |action: &mut dyn FnMut() -> bool| -> Vec<f64> {
            let ten = |action: &mut dyn FnMut() -> bool| assert!((0..10).all(|_| black_box(action())));
            (0..20).map(|_| time(|| ten(action)) / 10.0).collect()
        };
        for _ in 0..effort.of(21, 5) {
            floors[0].add_turn(repeat(&mut || pixels.write_rows(begin, stride, row, DAMAGE, &rect)));
            ours[0].add_turn(repeat(&mut || pixels.tile(0, &self.map, window, &rect, row)));
            floors[1].add_turn(repeat(&mut || pixels.as_pixels().read_rows(begin, stride, row, DAMAGE, &mut rect)));
            ours[1].add_turn(repeat(&mut || pixels.detile(0, &self.map, window, &mut rect, row)));
        }
        for ((way, ours), floor) in ["in", "out"].into_iter().zip(&ours).zip(&floors) {
            table.push(Line::new(format!("{}, {way}", self.name), ours).against("linear", ours, floor));
        }
        Ok(())
    }
}

/// For how many nanoseconds this thread keeps its CPU busy: a copy never waits, so what is more was somebody else's.
fn time(action: impl FnOnce()) -> f64 {
    let now = || {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
        tv_sec as f64 * 1e9 + tv_nsec as f64
    };
    let begin = now();
    action();
    now() - begin
}
