//! How large everybody's pictures are.

use std::collections::BTreeMap;

use handover::Extent;

use super::plan::Refusal;
use crate::pipeline::{DEFAULT_EXTENT, Kind, Pipeline};

/// The extents that are known so far, by index of the participant.
type Known = BTreeMap<usize, Extent>;

/// The extent of every participant: what it says, else what its kind follows from.
///
/// Reading goes one way, but an overlay follows what it lies over, which may follow the overlay. Whoever follows nobody
/// unknown is decided, round after round; an overlay on a circle has the default extent. There is no recursion: a pipeline
/// in which each of 32 participants reads all before it has more ways through it than can be walked.
pub(super) fn extents(pipeline: &Pipeline, clip: Option<Extent>) -> Result<Known, Refusal> {
    let mut known = Known::new();
    let count = pipeline.participants.len();
    while known.len() < count {
        let before = known.len();
        for index in 0..count {
            let ready = follows(pipeline, index).iter().all(|followed| known.contains_key(followed));
            if ready && !known.contains_key(&index) {
                known.insert(index, extent(pipeline, clip, &known, index)?);
            }
        }
        if known.len() == before {
            let Some(overlay) = on_circle(pipeline, &known) else { break };
            known.insert(overlay, default_extent()?);
        }
    }
    Ok(known)
}

/// Columns and tile of a blend: as square as it gets, each tile as large as the largest input. Of an `opengl`: each as large as a texture.
pub(super) fn grid(pipeline: &Pipeline, known: &Known, blend: usize) -> Result<(u32, Extent), Refusal> {
    if pipeline.participants.get(blend).is_some_and(|participant| participant.kind == Kind::OpenGl) {
        return Ok((columns(shown(pipeline, blend)), texture(pipeline, blend)?));
    }
    let reads = pipeline.participants.get(blend).map(|participant| participant.reads.as_slice()).unwrap_or_default();
    let columns = columns(reads.len() as u32);
    let (mut width, mut height) = (1, 1);
    for extent in reads.iter().filter_map(|read| known.get(read)) {
        (width, height) = (extent.width().get().max(width), extent.height().get().max(height));
    }
    Ok((columns, Extent::new(width, height).map_err(|error| Refusal(error.to_string()))?))
}

/// The columns that make so many tiles as square as it gets.
fn columns(tiles: u32) -> u32 {
    (1..=tiles).find(|columns| columns * columns >= tiles).unwrap_or(1)
}

/// The pictures that an `opengl` shows: what it draws, and what each compute made of it.
fn shown(pipeline: &Pipeline, opengl: usize) -> u32 {
    let is_compute = |reader: &usize| {
        pipeline.participants.get(*reader).is_some_and(|reader| matches!(reader.kind, Kind::Compute { .. }))
    };
    pipeline.readers(opengl).filter(is_compute).count() as u32 + 1
}

/// The extent of each texture of an `opengl`.
fn texture(pipeline: &Pipeline, opengl: usize) -> Result<Extent, Refusal> {
    let said = pipeline.participants.get(opengl).and_then(|participant| participant.extent);
    said.map_or_else(default_extent, Ok)
}

/// Whose extents that of participant `index` follows from.
fn follows(pipeline: &Pipeline, index: usize) -> Vec<usize> {
    let Some(participant) = pipeline.participants.get(index).filter(|participant| participant.extent.is_none()) else {
        return Vec::new();
    };
    match participant.kind {
        Kind::Clip | Kind::Pattern { .. } | Kind::Camera | Kind::Program { .. } => Vec::new(),
        // A compute has the texture's, not that of what is shown of it.
        Kind::OpenGl | Kind::Compute { .. } => Vec::new(),
        Kind::Overlay => beneath(pipeline, index).into_iter().collect(),
        Kind::Compositor => base(pipeline, index).into_iter().collect(),
        Kind::Blend => participant.reads.clone(),
        Kind::Encoder(_) | Kind::Preview | Kind::Output | Kind::Screen | Kind::Window { .. } => {
            participant.reads.iter().copied().take(1).collect()
        }
    }
}

/// The extent of one participant; all that it follows from is known.
fn extent(pipeline: &Pipeline, clip: Option<Extent>, known: &Known, index: usize) -> Result<Extent, Refusal> {
    let Some(participant) = pipeline.participants.get(index) else { return default_extent() };
    match (participant.extent, &participant.kind) {
        (_, Kind::OpenGl | Kind::Blend) if participant.extent.is_none() || participant.kind == Kind::OpenGl => {
            let (columns, tile) = grid(pipeline, known, index)?;
            let tiles = match participant.kind {
                Kind::OpenGl => shown(pipeline, index),
                _ => participant.reads.len() as u32,
            };
            let rows = tiles.div_ceil(columns.max(1)).max(1);
            let (width, height) =
                (tile.width().get().saturating_mul(columns), tile.height().get().saturating_mul(rows));
            Extent::new(width, height).map_err(|error| Refusal(format!("{} cannot run: {error}", participant.name)))
        }
        (Some(extent), _) => Ok(extent),
        (None, Kind::Clip) => clip.map_or_else(default_extent, Ok),
        (None, Kind::Compute { .. }) => texture(pipeline, participant.reads.first().copied().unwrap_or(index)),
        (None, _) => {
            let followed = follows(pipeline, index).into_iter().next();
            followed.and_then(|followed| known.get(&followed)).copied().map_or_else(default_extent, Ok)
        }
    }
}

/// An overlay whose extent follows from itself. There is one if nobody else can be decided: only overlays follow against
/// the way of reading.
fn on_circle(pipeline: &Pipeline, known: &Known) -> Option<usize> {
    let unknown = |index: &usize| !known.contains_key(index);
    let mut way = Vec::new();
    let mut next = (0..pipeline.participants.len()).find(unknown)?;
    while !way.contains(&next) {
        way.push(next);
        next = follows(pipeline, next).into_iter().find(unknown)?;
    }
    let circle = way.into_iter().skip_while(|index| *index != next);
    circle.filter(|index| pipeline.participants.get(*index).is_some_and(|found| found.kind == Kind::Overlay)).min()
}

/// What an overlay lies over: what a compositor that reads it has at the bottom.
fn beneath(pipeline: &Pipeline, overlay: usize) -> Option<usize> {
    let compositors = pipeline
        .readers(overlay)
        .filter(|reader| pipeline.participants.get(*reader).is_some_and(|reader| reader.kind == Kind::Compositor));
    compositors.filter_map(|compositor| base(pipeline, compositor)).find(|base| *base != overlay)
}

/// What sets the extent of a compositor: the first input that is no overlay of unsaid extent.
fn base(pipeline: &Pipeline, compositor: usize) -> Option<usize> {
    let reads = &pipeline.participants.get(compositor)?.reads;
    let says = |read: &&usize| {
        let participant = pipeline.participants.get(**read);
        participant.is_some_and(|read| read.kind != Kind::Overlay || read.extent.is_some())
    };
    reads.iter().find(says).or(reads.first()).copied()
}

fn default_extent() -> Result<Extent, Refusal> {
    let (width, height) = DEFAULT_EXTENT;
    Extent::new(width, height).map_err(|error| Refusal(error.to_string()))
}
