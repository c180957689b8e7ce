//! Where the elements of an image lie in tiled memory, as tables that are checked once.

/// What a row of elements contributes to the address of each: `base + (column ^ xor)`, with the column's entry in its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileRow {
    /// Bytes from the start of the plane.
    pub base: u64,
    /// Flips bits of the column's entry.
    pub xor: u32,
    /// Which table of columns.
    pub class: u8,
}

/// The most bytes that are moved at once.
pub(super) const WIDEST: usize = 16;

/// Blocks of fewer bytes are taken for one with their neighbour where that is true: each costs a look at the map.
const LEAST_BLOCK: usize = 4096;

/// The address of every element of an image in tiled memory.
///
/// # Contract
///
/// Element `x` of row `y` lies at `base + (columns[class][x] ^ xor)` and ends before [`end`](Self::end). The constructor has tried every
/// row against the greatest column, so whoever copies compares `end` with the memory and nothing else.
#[derive(Debug, Clone)]
pub struct TileMap {
    /// Bytes of an element: 1, 2, 4, 8 or 16.
    pub(super) element: usize,
    /// Bytes that lie without a gap everywhere and are moved at once: at least an element, at most [`WIDEST`].
    pub(super) unit: usize,
    pub(super) rows: Vec<Row>,
    /// For each class, the offset of each element of a row; all classes have one length.
    pub(super) columns: Vec<Vec<u32>>,
    /// For each class, the offset of each whole unit of a row.
    pub(super) units: Vec<Vec<u32>>,
    pub(super) blocks: Option<Blocks>,
    end: usize,
}

/// A [`TileRow`] whose numbers fit this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) base: usize,
    pub(super) xor: u32,
    pub(super) class: usize,
}

/// Blocks that are all alike but for flipped bits of the address, so that each can be written from its first byte to its last.
///
/// # Contract
///
/// The unit at column `u` and row `y` of the image, in the block that begins at column `bu` and row `by`, lies at
/// `origin + (k ^ a)`, where `order[a / unit] = (u - bu, y - by)` and `origin` and `k` are those of the block's first unit.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    /// Units in a row of a block.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Where the unit at each address of the first block is in it: column, row.
    pub(super) order: Vec<(u16, u16)>,
}

impl TileMap {
    /// The map of an image with these rows. `columns[class][x]` is the offset of element `x` of a row of that class; `run` elements (a
    /// power of two, from a multiple of it on) lie without a gap everywhere. `None`: no image, or the tables contradict that, or an address
    /// does not fit this machine.
    #[must_use]
    pub fn new(element: usize, run: usize, rows: &[TileRow], columns: Vec<Vec<u32>>) -> Option<Self> {
        if !element.is_power_of_two() || element > WIDEST || !run.is_power_of_two() {
            return None;
        }
        let width = columns.first()?.len();
        if width == 0 || columns.iter().any(|class| class.len() != width) {
            return None;
        }
        let unit = element.saturating_mul(run).min(WIDEST);
        let units = columns.iter().map(|class| whole_units(class, element, unit)).collect::<Option<Vec<_>>>()?;
        let rows = rows
            .iter()
            .map(|row| {
                let row = Row { base: usize::try_from(row.base).ok()?, xor: row.xor, class: usize::from(row.class) };
                (row.class < columns.len() && (row.xor as usize).is_multiple_of(unit)).then_some(row)
            })
            .collect::<Option<Vec<_>>>()?;
        let end = end(&rows, &columns, unit)?;
        Some(Self { element, unit, rows, columns, units, blocks: None, end })
    }

    /// The same map, told that blocks of `width` elements and `height` rows are all alike but for flipped bits of the address, and each
    /// fills memory without a gap. That is tried, not believed; where it does not hold, copies are right all the same and slower.
    #[must_use]
    pub fn with_blocks(mut self, width: usize, height: usize) -> Self {
        self.blocks = Blocks::of(&self, width, height);
        let mut width = width;
        while self.blocks.as_ref().is_some_and(|blocks| blocks.order.len() * self.unit < LEAST_BLOCK) {
            width *= 2;
            let Some(both) = Blocks::of(&self, width, height) else { break };
            self.blocks = Some(both);
        }
        self
    }

    /// Bytes from the start of the plane to the end of the last element.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }

    /// Elements of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of an element.
    #[must_use]
    pub fn element(&self) -> usize {
        self.element
    }

    /// First byte of an element, from the start of the plane.
    #[must_use]
    pub fn offset(&self, x: usize, y: usize) -> Option<usize> {
        let row = self.rows.get(y)?;
        let column = *self.columns.get(row.class)?.get(x)?;
        Some(row.base + (column ^ row.xor) as usize)
    }
}

/// The offsets of the whole units of a row, if its elements lie in units at all.
fn whole_units(columns: &[u32], element: usize, unit: usize) -> Option<Vec<u32>> {
    let runs = columns.chunks(unit / element);
    let gapless = |run: &[u32]| {
        let mut next = run.first().copied().filter(|first| (*first as usize).is_multiple_of(unit));
        run.iter().all(|at| {
            let is_next = next == Some(*at);
            next = at.checked_add(element as u32);
            is_next
        })
    };
    if !runs.clone().all(gapless) {
        return None;
    }
    Some(columns.chunks_exact(unit / element).filter_map(|run| run.first().copied()).collect())
}

/// The end of the element that reaches furthest, not less than where it really is: a flipped bit counts as set.
fn end(rows: &[Row], columns: &[Vec<u32>], unit: usize) -> Option<usize> {
    let furthest: Vec<u32> = columns.iter().map(|class| class.iter().copied().max().unwrap_or(0)).collect();
    rows.iter().try_fold(0_usize, |end, row| {
        let flipped = if row.xor == 0 { 0 } else { u32::MAX >> row.xor.leading_zeros() };
        let last = (furthest.get(row.class)? | flipped | (unit as u32 - 1)) as usize;
        Some(end.max(row.base.checked_add(last)?.checked_add(1)?))
    })
}

impl Blocks {
    fn of(map: &TileMap, width: usize, height: usize) -> Option<Self> {
        let [units] = map.units.as_slice() else { return None };
        let each = map.unit / map.element;
        let bytes = width.checked_mul(map.element)?.checked_mul(height)?;
        if height < 2 || !bytes.is_power_of_two() || !width.is_multiple_of(each) || bytes < map.unit || bytes > 1 << 20
        {
            return None;
        }
        let (width, mask) = (width / each, bytes - 1);
        let (first_columns, first_rows) = (units.get(..width)?, map.rows.get(..height)?);
        let (column, row) = (*first_columns.first()?, *first_rows.first()?);
        let mut order = vec![None; bytes / map.unit];
        for (y, own) in first_rows.iter().enumerate() {
            for (x, at) in first_columns.iter().enumerate() {
                let at = (at ^ own.xor ^ column ^ row.xor) as usize;
                *order.get_mut(at / map.unit)? = Some((u16::try_from(x).ok()?, u16::try_from(y).ok()?));
            }
        }
        let order = order.into_iter().collect::<Option<Vec<_>>>()?;
        let is_like = |found: u32, own: u32, first: u32, origin: u32| found ^ origin == own ^ first;
        // The last block may be cut: what there is of it is like the others too.
        let columns_alike = units.chunks(width).all(|block| {
            block
                .iter()
                .zip(first_columns)
                .all(|(&at, &own)| is_like(at, own, column, block.first().copied().unwrap_or(0)))
        });
        let rows_alike = map.rows.chunks(height).all(|block| {
            let Some(origin) = block.first() else { return false };
            block.iter().zip(first_rows).all(|(found, own)| {
                (found.base, found.class) == (origin.base, origin.class)
                    && own.base == row.base
                    && (found.xor ^ origin.xor) as usize <= mask
                    && is_like(found.xor, own.xor, row.xor, origin.xor)
            })
        });
        (columns_alike && rows_alike).then_some(Self { width, height, order })
    }
}
