//! The report of a run: what stands in `report.json`.
//!
//! Times are in the unit of their name; `CLOCK_MONOTONIC` where a point in time is meant.

use serde::Serialize;

use super::allocations::{self, Allocated};
use super::content::{Different, different};
use super::interop::{Interop, interop};
use super::jobs::format_of;
use super::other_device::OtherDevice;
use super::outputs::Outputs;
use super::plan::{Edge, Party, Plan};
use super::record::{Heard, Record};
use super::short::{EndedEarly, Short, ended_early, short};
use super::supervise::{Cause, Death, Outcome};
use crate::participant::event::{Descriptors, Exported, InputTally, Reads, Sockets, Tally, Time, Vulkan, Without};

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Version of the program.
    pub version: &'static str,
    /// What must not be taken for hardware.
    pub devices: String,
    /// Where surfaces live: "software" (memfds) or "linux" (dma-bufs).
    pub backend: &'static str,
    /// Frames the run was to have.
    pub frames: u64,
    /// Frames that some participant got done.
    pub frames_done: u64,
    /// Frames a second of the videos.
    pub fps: f64,
    /// Seconds from the first process to the end of the last.
    pub seconds: f64,
    /// "complete": every participant at an end of the pipeline got all frames, or all that the sources had. Otherwise by
    /// what came first: "interrupted" or "failed".
    pub ended: &'static str,
    /// Who died or failed, the first one first.
    pub dead: Vec<Death>,
    /// From the first death until no process was left, in seconds. `null`: nobody died.
    pub seconds_after_death: Option<f64>,
    /// Sources that had fewer frames than the run was to have.
    pub ended_early: Vec<EndedEarly>,
    /// Who got fewer frames than there were although nobody died and no signal came.
    pub short: Vec<Short>,
    /// Who had to be killed so that the run could end.
    pub killed: Vec<String>,
    /// Bytes of pixels that went from one process to another other than by sharing memory: what participants read with
    /// read calls (`rchar` of `/proc/thread-self/io`) less what they read from files of their own, and what came over the sockets of
    /// streams and was no message of theirs. `null`: the kernel does not count, or a participant did not live to tell.
    pub pixel_bytes_copied_between_processes: Option<u64>,
    /// Bytes of messages on the sockets of all streams, for each frame that was done.
    pub socket_bytes_per_frame: f64,
    /// What is shared where a reader is another device: "linear", "decode", or `null` for what negotiation gives.
    pub other_device: Option<&'static str>,
    /// Bytes of pixels that were written a second time, to be LINEAR.
    pub linear_copy_bytes: u64,
    /// Readers that saw other pixels than were drawn.
    pub different: Vec<Different>,
    /// Every surface. Buffers that computes import stand in `interop`.
    pub allocations: Vec<Allocated>,
    /// Each participant.
    pub participants: Vec<Participant>,
    /// Each reader of each producer, computes aside.
    pub streams: Vec<Stream>,
    /// Each compute, with what it imports.
    pub interop: Vec<Interop>,
    /// Files that were made, in the output directory.
    pub files: Vec<String>,
}

/// One participant.
#[derive(Debug, Clone, Serialize)]
pub struct Participant {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its device: simulated, and it says so, or the driver and the node.
    pub device: String,
    /// Frames.
    pub frames: Frames,
    /// Bytes of pixels that its CPU drew into surfaces, as if nothing were compressed.
    pub frame_bytes: u64,
    /// Of these frames, bytes that it copied from its private surface into LINEAR ones.
    pub linear_copy_bytes: u64,
    /// SHA-256 of all frames it published, as `content_sha256` of `inputs` has them. `null`: nobody read them in order, or no simulated chip
    /// took part.
    pub content_sha256: Option<String>,
    /// Submit to the release by the last reader, of its own frames.
    pub latency_us: Latency,
    /// The most readers that had one of its frames at the same time.
    pub readers_at_once: usize,
    /// Where its time went. `null`: it did not live to tell.
    pub waiting_us: Option<Time>,
    /// What it read from each input.
    pub inputs: Vec<InputTally>,
    /// Open descriptors.
    pub descriptors: Descriptors,
    /// Bytes of read calls while frames went.
    pub read_bytes: Option<Reads>,
    /// What it sent over the sockets of its streams while frames went.
    pub sockets: Sockets,
    /// What its exports decided, each one in the order in which they were made: a later one can drop compression for all.
    pub exports: Vec<Exported>,
    /// Readers it went on without.
    pub without: Vec<Without>,
    /// Compression blocks that `flush` wrote out.
    pub flushed_blocks: u64,
    /// The first intervals in which it held frames, if the pipeline says `hold_ms`.
    pub holds: Vec<Hold>,
    /// Its device of Vulkan, if it draws by one and lived to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vulkan: Option<Vulkan>,
}

/// Frames of a participant. Of one that did not live to tell: the rounds it had noted last.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Frames {
    /// Of its own, published.
    pub submitted: u64,
    /// Rounds read from its inputs.
    pub shown: u64,
    /// Passed over: of mailboxes it reads, and of its own that a full mailbox did not take.
    pub dropped: u64,
}

/// Quantiles.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

/// One interval in which a frame was held.
#[derive(Debug, Clone, Serialize)]
pub struct Hold {
    /// Name of the producer.
    pub producer: String,
    /// Number of the frame in its stream, from 1.
    pub frame: u64,
    /// When READ access was granted.
    pub from_ns: u64,
    /// When it was given back.
    pub to_ns: u64,
}

/// One reader of one producer.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    /// Who makes the frames.
    pub producer: String,
    /// Who reads them.
    pub reader: String,
    /// "shared surfaces" or "copied through a socket".
    pub carrier: &'static str,
    /// "fifo" or "mailbox".
    pub mode: &'static str,
    /// Where the memory of the surfaces comes from: "software", "udmabuf", "dumb buffers of virtio_gpu". `null` for copies.
    pub allocator: Option<String>,
    /// The format.
    pub format: &'static str,
    /// Width and height in pixels.
    pub extent: (u32, u32),
    /// The modifier. `null` for copies.
    pub modifier: Option<String>,
    /// Offers of the producer that lost, and why.
    pub lost: Vec<Lost>,
    /// Layout and compression, as the export decided. `null`: copies, or the reader was never there.
    pub export: Option<Exported>,
}

/// An offer that lost.
#[derive(Debug, Clone, Serialize)]
pub struct Lost {
    /// Format and modifier.
    pub offer: String,
    /// Why.
    pub why: String,
}

impl Report {
    pub(super) fn of(plan: &Plan, record: &mut Record, outcome: &Outcome, outputs: &Outputs, seconds: f64) -> Self {
        let heard = record.close();
        let participants: Vec<Participant> = plan
            .parties
            .iter()
            .zip(heard)
            .enumerate()
            .map(|(index, (party, heard))| {
                participant(plan, index, party, heard, outcome.frames.get(index).copied().unwrap_or(0))
            })
            .collect();
        let messages: u64 = participants.iter().map(|participant| participant.sockets.sent_bytes).sum();
        let done = participants.iter().map(|participant| participant.frames.submitted.max(participant.frames.shown));
        let frames_done = done.max().unwrap_or(0);
        // A death or a signal is the whole reason; who got less by it is no news.
        let different = different(plan, heard);
        let short = if outcome.cause.is_none() { short(plan, heard, &participants) } else { Vec::new() };
        Self {
            pipeline: plan.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            devices: devices(plan),
            backend: plan.backend.word(),
            frames: plan.frames,
            frames_done,
            fps: plan.rate.hz(),
            seconds,
            ended: match outcome.cause {
                Some(Cause::Signal(_)) => "interrupted",
                None if short.is_empty() && different.is_empty() => "complete",
                Some(Cause::Death) | None => "failed",
            },
            dead: outcome.dead.clone(),
            seconds_after_death: outcome.after_death.map(|time| time.as_secs_f64()),
            ended_early: ended_early(plan, heard),
            short,
            killed: outcome.killed.clone(),
            pixel_bytes_copied_between_processes: copied(heard),
            socket_bytes_per_frame: messages as f64 / frames_done.max(1) as f64,
            other_device: plan.other_device.map(OtherDevice::word),
            linear_copy_bytes: participants.iter().map(|participant| participant.linear_copy_bytes).sum(),
            different,
            allocations: allocations::log(plan, heard),
            streams: plan.edges.iter().filter_map(|edge| stream(plan, *edge, heard)).collect(),
            interop: interop(plan, heard),
            participants,
            files: outputs.files(),
        }
    }
}

fn devices(plan: &Plan) -> String {
    let real = plan.parties.iter().filter(|party| party.hardware.is_some());
    let names: Vec<&str> = real.map(|party| party.participant.name.as_str()).collect();
    match names.split_last() {
        None => "all devices are simulated in software".into(),
        Some((last, [])) => format!("devices are simulated in software, but for that of {last}"),
        Some((last, names)) => {
            format!("devices are simulated in software, but for those of {} and {last}", names.join(", "))
        }
    }
}

pub(super) fn participant(plan: &Plan, index: usize, party: &Party, heard: &Heard, noted: u64) -> Participant {
    let (inputs, _) = plan.streams_of(index);
    let tally = heard.tally.clone().unwrap_or_else(|| Tally {
        submitted: if party.participant.kind.produces() { noted } else { 0 },
        shown: if inputs.is_empty() { 0 } else { noted },
        ..Tally::default()
    });
    let skipped: u64 = tally.inputs.iter().map(|input| input.skipped).sum();
    let name_of = |input: usize| {
        let producer = inputs.get(input).and_then(|edge| plan.parties.get(edge.producer));
        producer.map_or_else(String::new, |producer| producer.participant.name.clone())
    };
    let hold = |held: &crate::participant::event::Held| Hold {
        producer: name_of(held.input),
        frame: held.frame,
        from_ns: held.from,
        to_ns: held.to,
    };
    Participant {
        name: party.participant.name.clone(),
        kind: party.participant.kind.word(),
        device: party.device_text(),
        frames: Frames { submitted: tally.submitted, shown: tally.shown, dropped: tally.dropped + skipped },
        frame_bytes: tally.frame_bytes,
        linear_copy_bytes: tally.linear_copy_bytes,
        content_sha256: tally.content_sha256,
        latency_us: Latency { p50: heard.latency(0.5), p99: heard.latency(0.99) },
        readers_at_once: heard.at_once,
        waiting_us: heard.tally.as_ref().map(|tally| tally.time),
        inputs: tally.inputs,
        descriptors: tally.descriptors,
        read_bytes: tally.reads,
        sockets: tally.sockets,
        exports: heard.exports.clone(),
        without: tally.without,
        flushed_blocks: tally.flushed_blocks,
        holds: heard.holds.iter().map(hold).collect(),
        vulkan: tally.vulkan,
    }
}

fn copied(heard: &[Heard]) -> Option<u64> {
    heard.iter().try_fold(0_u64, |sum, heard| {
        let tally = heard.tally.as_ref()?;
        let reads = tally.reads?;
        let copied = reads.all.saturating_sub(reads.own).saturating_add(tally.sockets.payload_bytes);
        Some(sum.saturating_add(copied))
    })
}

fn stream(plan: &Plan, edge: Edge, heard: &[Heard]) -> Option<Stream> {
    let producer = plan.parties.get(edge.producer).filter(|_| !edge.interop)?;
    let reader = plan.parties.get(edge.reader)?.participant.name.clone();
    let exports = heard.get(edge.producer).map(|heard| heard.exports.as_slice()).unwrap_or_default();
    let agreement = producer.agreement.as_ref().filter(|_| !edge.copies);
    let lost = agreement.map(|agreement| agreement.lost.as_slice()).unwrap_or_default();
    let lost = lost.iter().map(|lost| Lost { offer: lost.candidate.to_string(), why: lost.conflict.to_string() });
    Some(Stream {
        producer: producer.participant.name.clone(),
        carrier: if edge.copies { "copied through a socket" } else { "shared surfaces" },
        mode: if edge.mailbox { "mailbox" } else { "fifo" },
        allocator: (!edge.copies).then(|| producer.allocator.clone()),
        format: format_of(producer, edge).name(),
        extent: (producer.extent.width().get(), producer.extent.height().get()),
        modifier: agreement.map(|agreement| agreement.modifier.to_string()),
        lost: lost.collect(),
        export: exports.iter().find(|export| export.reader == reader).cloned(),
        reader,
    })
}
