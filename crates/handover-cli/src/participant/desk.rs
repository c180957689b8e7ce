//! What every participant has at hand: its parent, its notes, its clock and its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use handover::transport::{Channel, Traffic};
use handover::{Deadline, Stage};

use super::account::{self, ReadAccount};
use super::event::{Drawn, Event, Held, Sockets, Tally, Times};
use super::status::Notes;
use super::{Failure, Result};

/// Times are sent on when there are so many; as JSON they stay far below what one payload may have.
const BATCH: usize = 256;

/// How often a participant that sleeps looks whether it shall stop.
const NAP: Duration = Duration::from_millis(10);

/// A participant's working place.
pub(super) struct Desk {
    control: Arc<Channel>,
    stop: Arc<AtomicBool>,
    notes: Notes,
    times: Times,
    /// The counters that go to the parent at the end.
    pub(super) tally: Tally,
    /// Bytes read from files of our own.
    pub(super) file_bytes: u64,
    reads: Option<ReadAccount>,
    traffic: Traffic,
}

impl Desk {
    pub(super) fn new(control: Arc<Channel>, stop: Arc<AtomicBool>, notes: Notes) -> Self {
        Self {
            control,
            stop,
            notes,
            times: Times::default(),
            tally: Tally::default(),
            file_bytes: 0,
            reads: None,
            traffic: Traffic::default(),
        }
    }

    /// Shall it come to an end?
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Notes the stage that begins.
    pub(super) fn stage(&self, stage: Stage) {
        self.notes.stage(stage);
    }

    /// The stage last noted.
    pub(super) fn current_stage(&self) -> Stage {
        self.notes.current()
    }

    /// All streams stand; what is read and sent from now on is counted. `traffic` is what went over the sockets so far.
    pub(super) fn begin_streaming(&mut self, traffic: Traffic) {
        self.traffic = traffic;
        self.reads = ReadAccount::open();
    }

    /// A round is done: `frames` so far.
    pub(super) fn frame_done(&mut self, frames: u64) {
        self.notes.frames(frames);
        match frames {
            1 => self.tally.descriptors.start = account::descriptors(),
            100 => self.tally.descriptors.frame_100 = account::descriptors(),
            _ => {}
        }
    }

    /// No frame follows; what was opened for frames (a clip, a video) is still open.
    pub(super) fn frames_done(&mut self) {
        self.tally.descriptors.end = account::descriptors();
    }

    /// The last frame is through.
    pub(super) fn end_streaming(&mut self, traffic: Traffic) {
        self.tally.reads = self.reads.as_ref().and_then(|reads| reads.close(self.file_bytes));
        let descriptors = |traffic: Traffic| traffic.sent_descriptors + traffic.received_descriptors;
        self.tally.sockets = Sockets {
            sent_bytes: traffic.sent_bytes.saturating_sub(self.traffic.sent_bytes),
            sent_messages: traffic.sent_messages.saturating_sub(self.traffic.sent_messages),
            payload_bytes: traffic.received_payload_bytes.saturating_sub(self.traffic.received_payload_bytes),
            descriptors: descriptors(traffic).saturating_sub(descriptors(self.traffic)),
        };
    }

    /// A frame of our own was submitted.
    pub(super) fn submitted(&mut self, drawn: Drawn) -> Result<()> {
        self.tally.submitted += 1;
        self.times.submitted.push(drawn);
        self.send_full_batch()
    }

    /// A frame of a peer was read.
    pub(super) fn held(&mut self, held: Held) -> Result<()> {
        self.times.held.push(held);
        self.send_full_batch()
    }

    fn send_full_batch(&mut self) -> Result<()> {
        if self.times.submitted.len() + self.times.held.len() < BATCH {
            return Ok(());
        }
        self.send_times()
    }

    /// Sends what times there are.
    pub(super) fn send_times(&mut self) -> Result<()> {
        if self.times == Times::default() {
            return Ok(());
        }
        let times = std::mem::take(&mut self.times);
        self.tell(&Event::Times(times))
    }

    /// Tells the parent. It reads at once or is gone; then the thread that watches it ends this process.
    pub(super) fn tell(&self, event: &Event) -> Result<()> {
        let bytes = serde_json::to_vec(event).map_err(|error| Failure::new(error.to_string()))?;
        self.control.send_bytes(&bytes, &[], Deadline::Never)?;
        Ok(())
    }

    /// Keeps what it has for so long, or until it shall stop.
    pub(super) fn hold(&mut self, duration: Duration) {
        let started = Instant::now();
        while !self.is_stopping() {
            let left = duration.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        self.tally.time.hold += micros(started.elapsed());
    }
}

/// Runs `work`, adds its time to `sum` (microseconds).
pub(super) fn timed<T>(sum: &mut u64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    *sum += micros(started.elapsed());
    result
}

/// In microseconds, cut to the width of the number.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
