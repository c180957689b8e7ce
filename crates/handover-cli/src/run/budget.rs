//! What a run may take of the machine: memory and descriptors. Found out before anything starts.

use handover::negotiate::Agreement;
use handover::{Compression, Layout, Modifier};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::plan::{Party, Plan, Refusal};
use crate::media::colour::PIXEL;
use crate::participant::account;
use crate::pipeline::Kind;

/// Bytes that all participants together may take for pictures: 2 GiB. The default pipeline at 3840x2160 takes 1.5.
pub const MEMORY: u64 = 2 << 30;

const MIB: u64 = 1 << 20;

/// Bytes a pixel that a codec takes for itself. A decoder of H.264 keeps up to 16 pictures of 1.5 bytes a pixel to refer
/// to and some to put in order, an encoder keeps fewer.
const DECODER: u64 = 32;
const ENCODER: u64 = 16;

/// Bytes a pixel for a picture on its way to a PNG file: without alpha, then packed.
const PNG: u64 = 6;

/// Bytes a pixel of a picture that is drawn or was read: it, and the same with red and blue the other way round.
const DRAWN: u64 = 2 * PIXEL as u64;

/// Descriptors of any process: standard streams, signals, control, status page, files, and a margin.
const DESCRIPTORS: u64 = 40;

/// What one participant takes for pictures, in bytes.
struct Share<'a> {
    name: &'a str,
    surfaces: u64,
    /// One surface.
    size: u64,
    private: u64,
}

impl Share<'_> {
    fn all(&self) -> u64 {
        self.surfaces.saturating_mul(self.size).saturating_add(self.private)
    }
}

/// Refuses a plan whose surfaces and private pictures exceed [`MEMORY`], and names who takes most.
pub(super) fn check_memory(plan: &Plan) -> Result<(), Refusal> {
    let shares = plan.parties.iter().map(|party| share(plan, party)).collect::<Result<Vec<_>, _>>()?;
    let sum = shares.iter().fold(0_u64, |sum, share| sum.saturating_add(share.all()));
    let Some(most) = shares.iter().max_by_key(|share| share.all()).filter(|_| sum > MEMORY) else { return Ok(()) };
    let mib = |bytes: u64| bytes.div_ceil(MIB);
    let surfaces = match most.surfaces {
        0 => String::new(),
        count => format!("{count} surfaces of {} MiB, and ", mib(most.size)),
    };
    Err(Refusal(format!(
        "the pipeline {} takes about {} MiB for pictures, allowed: {} MiB; {} takes most of it: {surfaces}{} MiB of its \
         own; what helps: smaller extents, fewer surfaces or fewer participants",
        plan.name,
        mib(sum),
        mib(MEMORY),
        most.name,
        mib(most.private),
    )))
}

fn share<'a>(plan: &'a Plan, party: &'a Party) -> Result<Share<'a>, Refusal> {
    let pixels = |party: &Party| u64::from(party.extent.width().get()) * u64::from(party.extent.height().get());
    let own = pixels(party);
    // One that was read has the extent of its producer's surfaces; what a compute imports, its own.
    let is_compute = matches!(party.participant.kind, Kind::Compute { .. });
    let read: u64 = party
        .participant
        .reads
        .iter()
        .filter_map(|read| plan.parties.get(*read))
        .map(|read| if is_compute { own } else { pixels(read) } * DRAWN)
        .sum();
    let work = match party.participant.kind {
        Kind::Clip => DRAWN + DECODER,
        Kind::Overlay | Kind::Pattern { .. } | Kind::Compositor | Kind::Blend => DRAWN,
        // The client's picture is perhaps as large.
        Kind::Program { .. } => 2 * DRAWN,
        // Textures together are about as large as what is shown of them, and so are the pictures read back.
        Kind::OpenGl => 3 * DRAWN,
        // What it imports is the other's, and its picture is in the sum as one that was read.
        Kind::Compute { .. } => 0,
        Kind::Encoder(_) => ENCODER,
        Kind::Preview | Kind::Screen => PNG,
        // Their pixels are the surfaces'.
        Kind::Camera | Kind::Output | Kind::Window { .. } => 0,
    };
    let (surfaces, size) = match surface_size(party, party.agreement.as_ref())? {
        Some(size) => (party.participant.surfaces.into(), size),
        None => (0, 0),
    };
    // One more surface, and one more picture on the way from it.
    let copied = surface_size(party, party.private.as_ref())?.map_or(0, |size| size.saturating_add(own * PIXEL as u64));
    let private = (own * work + read).saturating_add(copied);
    Ok(Share { name: &party.participant.name, surfaces, size, private })
}

/// The size of one surface in bytes. `None`: nobody shares them, and there are none.
fn surface_size(party: &Party, agreement: Option<&Agreement>) -> Result<Option<u64>, Refusal> {
    let Some(agreement) = agreement else { return Ok(None) };
    let Some(format) = agreement.format else { return Ok(None) };
    let layout = match agreement.modifier {
        Modifier::SIM_BLOCKS => {
            Layout::blocks(format, agreement.extent, Compression::Possible, agreement.constraints())
        }
        modifier => Layout::tiled(format, agreement.extent, modifier, agreement.constraints())
            // What a driver lays out by its own rules is about as large.
            .or_else(|_| Layout::linear(format, agreement.extent, agreement.constraints())),
    };
    let size = layout.map_err(|error| Refusal(format!("{} cannot run: {error}", party.participant.name)))?.size();
    Ok(Some(size.get()))
}

/// Sees to it that no process of the run can run out of descriptors: raises the limit as far as this process may.
/// Participants inherit it.
pub(super) fn allow_descriptors(plan: &Plan) -> Result<(), Refusal> {
    let need = descriptors(plan).saturating_add(account::descriptors().unwrap_or(0));
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= need) {
        return Ok(());
    }
    let raised = maximum.is_none_or(|maximum| maximum >= need)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(need), maximum }).is_ok();
    if raised {
        return Ok(());
    }
    let allowed = maximum.or(current).unwrap_or(0);
    Err(Refusal(format!(
        "the pipeline {} needs up to {need} open files in one process, allowed: {allowed}; what helps: a higher limit \
         (ulimit -n), fewer surfaces or fewer participants",
        plan.name
    )))
}

/// How many descriptors the hungriest process of a run can have open at once.
fn descriptors(plan: &Plan) -> u64 {
    // Both ends of every stream are the parent's until all have started; of each process it has some more.
    let parent = 2 * plan.edges.len() + 4 * plan.parties.len();
    let surfaces = |index: usize| plan.parties.get(index).map_or(0, |party| party.participant.surfaces as usize);
    // A surface is a descriptor, and another one while it is handed over; a stream is a socket and what belongs to a pool.
    let children = (0..plan.parties.len()).map(|index| {
        let (inputs, outputs) = plan.streams_of(index);
        let read: usize = inputs.iter().map(|edge| 2 * surfaces(edge.producer) + 4).sum();
        read + 2 * surfaces(index) + 2 * outputs.len()
    });
    (children.max().unwrap_or(0).max(parent) as u64).saturating_add(DESCRIPTORS)
}
