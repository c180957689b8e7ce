//! The producer's end of a stream.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use handover_model::wire::Message;
use handover_model::{Access, Decision, ExportFlags, Region, Stage};
use handover_sys::poll::{Entry, Interest, poll};

use super::draft::{Draft, Drafted, Published, Undrawn};
use super::peer::Peer;
use super::{Delivery, Waited};
use crate::acquire::{Acquire, acquire, try_acquire};
use crate::backend::linux::SyncFile;
use crate::deadline::Deadline;
use crate::error::{Blocked, Error, Kind, Result, os};
use crate::lease::Lease;
use crate::release::Unattached;
use crate::surface::Surface;
use crate::transport::{Channel, Traffic};

/// The most surfaces of a stream. A socket's queue has room for one message each in both directions (about 270 of 768
/// bytes in the default buffer of 208 KiB), so that neither a frame nor a release ever finds it full.
pub const MAX_SURFACES: usize = 128;

/// How often surfaces are tested that only mailbox readers hold.
const RETEST: Duration = Duration::from_millis(1);

/// Fills surfaces for its consumers.
#[derive(Debug)]
pub struct Producer {
    slots: Vec<Slot>,
    consumers: Vec<Peer>,
    next_id: u32,
    frame: u64,
    gone: Vec<ConsumerId>,
    waited: Waited,
    /// What went over channels that are closed.
    past_traffic: Traffic,
}

/// Names a consumer to its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerId(pub(super) u32);

#[derive(Debug)]
struct Slot {
    surface: Surface,
    /// Consumers that were given the frame in it and have not released it. Mailbox consumers are not among them.
    held_by: Vec<ConsumerId>,
    /// The newest frame it held, 0 before the first.
    frame: u64,
    /// With the caller, as a draft.
    drafted: Arc<AtomicBool>,
}

impl Producer {
    /// A stream over these surfaces, which this process allocated as one pool.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: none, more than [`MAX_SURFACES`], an imported one, or surfaces out of their pool's order.
    pub fn new(surfaces: Vec<Surface>) -> Result<Self> {
        let in_order = surfaces.iter().enumerate().all(|(i, surface)| {
            surface.is_producer()
                && surface.index() as usize == i
                && surfaces.len() == surface.0.pool.surfaces() as usize
        });
        if surfaces.is_empty() || surfaces.len() > MAX_SURFACES || !in_order {
            return Err(Error::new(Stage::Export, Kind::Invalid)
                .asked(format!("a stream over {} surfaces", surfaces.len()))
                .why(format!(
                    "a stream needs every surface of one pool of our own, in order, and at most {MAX_SURFACES}"
                )));
        }
        let slot = |surface| Slot { surface, held_by: Vec::new(), frame: 0, drafted: Arc::default() };
        Ok(Self {
            slots: surfaces.into_iter().map(slot).collect(),
            consumers: Vec::new(),
            next_id: 0,
            frame: 0,
            gone: Vec::new(),
            waited: Waited::default(),
            past_traffic: Traffic::default(),
        })
    }

    /// Adds a consumer: exports every surface to it and waits until it has imported them all.
    ///
    /// One surface after the other: the answer to one is awaited before the next is sent.
    ///
    /// # Errors
    /// Those of [`export`](crate::export()); whatever the consumer refuses with; [`Kind::PeerGone`], [`Kind::Timeout`].
    pub fn add(
        &mut self,
        channel: Channel,
        flags: ExportFlags,
        delivery: Delivery,
        deadline: Deadline,
    ) -> Result<(ConsumerId, Decision)> {
        let peer = Peer { id: ConsumerId(self.next_id), channel, delivery, untold: None };
        let started = Instant::now();
        let decision = peer.greet(deadline).and_then(|()| {
            let hand_over = |slot: &Slot| peer.hand_over(&slot.surface, flags, deadline);
            self.slots.iter().map(hand_over).try_fold(None, |_, decision| decision.map(Some))
        });
        self.waited.peer += started.elapsed();
        let decision = decision?.ok_or_else(|| Error::new(Stage::Export, Kind::Unreachable))?;
        self.next_id = self.next_id.wrapping_add(1);
        let id = peer.id;
        self.consumers.push(peer);
        Ok((id, decision))
    }

    /// A surface that nobody uses, with a WRITE lease, waiting for one if it must. `None`: every consumer is gone.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: the pool stayed empty, or a fence pending, until the deadline.
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<Draft>> {
        let mut place = None;
        loop {
            self.hear(Deadline::now(), None)?;
            if self.consumers.is_empty() {
                return Ok(None);
            }
            if let Some(draft) = self.try_draft()? {
                return Ok(Some(draft));
            }
            // Released by all its users, but a fence of theirs is pending: stand in line for it, with an ear on the others.
            if place.is_none() {
                place = self.stand_in_line(deadline)?;
            }
            let started = Instant::now();
            let Some((slot, acquire)) = &mut place else {
                if deadline.has_passed() {
                    return Err(self.pool_empty());
                }
                self.hear(self.look_again(deadline), None)?;
                self.waited.pool_empty += started.elapsed();
                continue;
            };
            if let Some(lease) = acquire.poll()? {
                let slot = *slot;
                return Ok(self.surface(slot).map(|surface| self.draft(slot, surface, lease)));
            }
            let granted = acquire.owned_descriptor()?;
            self.hear(deadline, Some(granted.as_fd()))?;
            self.waited.fence += started.elapsed();
            if self.free_slots().len() > 1 {
                // Another surface came free meanwhile, and may be quicker.
                place = None;
            }
        }
    }

    fn pool_empty(&self) -> Error {
        Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
            .asked("a surface that no consumer holds")
            .found(format!("all {} held, for frames up to {}", self.slots.len(), self.frame))
            .help("more surfaces, or a faster consumer")
    }

    /// As [`next`](Self::next), but never waits: `None` also if no surface is free now ([`Self::consumers`] tells which).
    pub fn try_next(&mut self) -> Result<Option<Draft>> {
        self.hear(Deadline::now(), None)?;
        if self.consumers.is_empty() { Ok(None) } else { self.try_draft() }
    }

    /// Tests every surface that no Fifo consumer holds; the newest frame last, since a mailbox may still want it.
    fn try_draft(&mut self) -> Result<Option<Draft>> {
        for slot in self.free_slots() {
            let Some(surface) = self.surface(slot) else { continue };
            if let Some(lease) = try_acquire(&[(&surface, Access::Write, Region::WHOLE)])? {
                return Ok(Some(self.draft(slot, surface, lease)));
            }
        }
        Ok(None)
    }

    /// A place in line for the free slot with the oldest frame. Not with a mailbox reader about: it may be slow, and must not
    /// block us.
    fn stand_in_line(&self, deadline: Deadline) -> Result<Option<(usize, Acquire)>> {
        let slot = self.free_slots().first().copied();
        let Some((slot, surface)) = slot.and_then(|slot| Some((slot, self.surface(slot)?))) else {
            return Ok(None);
        };
        if self.consumers.iter().any(|peer| peer.delivery == Delivery::Mailbox) {
            return Ok(None);
        }
        acquire(&[(&surface, Access::Write, Region::WHOLE)], deadline).map(|acquire| Some((slot, acquire)))
    }

    fn surface(&self, slot: usize) -> Option<Surface> {
        self.slots.get(slot).map(|slot| slot.surface.clone())
    }

    fn draft(&mut self, slot: usize, surface: Surface, lease: Lease) -> Draft {
        self.frame += 1;
        let frame = self.frame;
        // Before the first pixel changes: a mailbox consumer that arrives now finds that its frame is gone.
        surface.0.pool.reservation().set_frame(surface.index(), frame);
        let drafted = self.slots.get(slot).map(|slot| Arc::clone(&slot.drafted)).unwrap_or_default();
        drafted.store(true, Ordering::Relaxed);
        Draft { surface, lease, frame, slot, drafted: Drafted(drafted) }
    }

    /// Slots nobody holds, oldest frame first.
    fn free_slots(&self) -> Vec<usize> {
        let mut free: Vec<usize> = (0..self.slots.len())
            .filter(|&i| {
                self.slots.get(i).is_some_and(|slot| slot.held_by.is_empty() && !slot.drafted.load(Ordering::Relaxed))
            })
            .collect();
        free.sort_by_key(|&i| self.slots.get(i).map(|slot| slot.frame));
        free
    }

    /// Until when to listen for releases. Mailbox readers release through the reservation alone, which is tested again.
    fn look_again(&self, deadline: Deadline) -> Deadline {
        match (self.free_slots().is_empty(), deadline, Deadline::after(RETEST)) {
            (true, ..) => deadline,
            (false, Deadline::At(at), Deadline::At(again)) => Deadline::At(at.min(again)),
            (false, _, again) => again,
        }
    }

    /// Releases the draft and names it to every consumer.
    ///
    /// # Errors
    /// [`Kind::Spoiled`]: somebody wrote over the control file. [`Kind::Invalid`]: the draft of another producer. A consumer
    /// that is gone is no error; see [`Producer::gone`].
    pub fn publish(&mut self, draft: Draft) -> Result<Published> {
        self.check(&draft)?;
        let Draft { surface, lease, frame, slot, drafted } = draft;
        let released = lease.release();
        let published = self.name(surface.index(), frame, slot);
        drop(drafted);
        released.map(|()| published)
    }

    /// As [`publish`](Self::publish), of a frame that a device is still drawing: its readers wait for `fence`, which stays open.
    ///
    /// # Errors
    /// [`Undrawn`] gives the draft back where the kernel did not take the fence: wait for it on the CPU, and publish then.
    pub fn publish_after(&mut self, draft: Draft, fence: &SyncFile) -> Result<Published, Undrawn> {
        if let Err(error) = self.check(&draft) {
            return Err(Undrawn { draft, error });
        }
        let Draft { surface, lease, frame, slot, drafted } = draft;
        match lease.release_after(fence) {
            Ok(()) => {
                let published = self.name(surface.index(), frame, slot);
                drop(drafted);
                Ok(published)
            }
            Err(Unattached { lease, error }) => {
                Err(Undrawn { draft: Draft { surface, lease, frame, slot, drafted }, error })
            }
        }
    }

    fn check(&self, draft: &Draft) -> Result<()> {
        if self.slots.get(draft.slot).is_some_and(|slot| Arc::ptr_eq(&slot.drafted, &draft.drafted.0)) {
            return Ok(());
        }
        Err(Error::new(Stage::Release, Kind::Invalid)
            .asked("a draft of this producer")
            .found(format!("frame {} of another one", draft.frame)))
    }

    /// Tells every consumer of a frame that was released.
    fn name(&mut self, index: u32, frame: u64, slot: usize) -> Published {
        let mut published = Published { frame, sent: 0, dropped: 0 };
        let mut held_by = Vec::new();
        let mut lost = Vec::new();
        for peer in &mut self.consumers {
            peer.untold = None;
            match peer.channel.send(&Message::Frame { index, frame }, &[], Deadline::now()) {
                Ok(()) => {
                    published.sent += 1;
                    if peer.delivery == Delivery::Fifo {
                        held_by.push(peer.id);
                    }
                }
                Err(error) if error.is_timeout() && peer.delivery == Delivery::Mailbox => {
                    peer.untold = Some((index, frame));
                    published.dropped += 1;
                }
                // A Fifo queue cannot fill up honestly: it holds at most one message a surface, and has room for them all.
                Err(_) => lost.push(peer.id),
            }
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            (slot.held_by, slot.frame) = (held_by, frame);
        }
        lost.into_iter().for_each(|id| self.lose(id));
        published
    }

    /// Takes what consumers have said; waits for the first to speak, for `also` to become readable, or for the deadline.
    fn hear(&mut self, deadline: Deadline, also: Option<BorrowedFd<'_>>) -> Result<()> {
        let ears = self.consumers.iter().map(|peer| peer.channel.as_fd()).chain(also);
        let mut entries: Vec<Entry<'_>> = ears.map(|fd| Entry::new(fd, Interest::READ)).collect();
        if entries.is_empty() {
            return Ok(());
        }
        poll(&mut entries, deadline.at()).map_err(os(Stage::Release, "wait for consumers"))?;
        let ready: Vec<bool> = entries.iter().map(|entry| !entry.ready.is_empty()).collect();
        let mut lost = Vec::new();
        for (peer, _) in self.consumers.iter().zip(ready).filter(|(_, ready)| *ready) {
            let heard = peer.hear();
            for (index, frame) in heard.released {
                // A release of a frame it does not hold changes nothing.
                if let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| slot.frame == frame) {
                    slot.held_by.retain(|holder| *holder != peer.id);
                }
            }
            if heard.gone {
                lost.push(peer.id);
            }
        }
        lost.into_iter().for_each(|id| self.lose(id));
        Ok(())
    }

    fn lose(&mut self, id: ConsumerId) {
        if let Some(at) = self.consumers.iter().position(|peer| peer.id == id) {
            let peer = self.consumers.remove(at);
            self.past_traffic = self.past_traffic + peer.channel.traffic();
            self.gone.push(id);
        }
        self.slots.iter_mut().for_each(|slot| slot.held_by.retain(|holder| *holder != id));
    }

    /// Says that no frame will follow, and waits until every consumer has released what it holds, or is gone.
    pub fn finish(&mut self, deadline: Deadline) -> Result<()> {
        let mut lost = Vec::new();
        for peer in &self.consumers {
            // Nothing newer will come that would make up for it.
            let last = peer.untold.map(|(index, frame)| Message::Frame { index, frame });
            let said = last.into_iter().chain([Message::End]).try_for_each(|m| peer.channel.send(&m, &[], deadline));
            if said.is_err() {
                lost.push(peer.id);
            }
        }
        lost.into_iter().for_each(|id| self.lose(id));
        while self.slots.iter().any(|slot| !slot.held_by.is_empty()) {
            if deadline.has_passed() {
                return Err(Error::new(Stage::Release, Kind::Timeout(Blocked::default()))
                    .asked("every consumer to release its last frames")
                    .found(format!("{} that did not", self.consumers.len())));
            }
            self.hear(deadline, None)?;
        }
        Ok(())
    }

    /// Consumers that are there.
    pub fn consumers(&self) -> usize {
        self.consumers.len()
    }

    /// Consumers that hung up, or broke the rules, since this was last asked.
    pub fn gone(&mut self) -> Vec<ConsumerId> {
        std::mem::take(&mut self.gone)
    }

    /// The surfaces.
    pub fn surfaces(&self) -> impl Iterator<Item = &Surface> {
        self.slots.iter().map(|slot| &slot.surface)
    }

    /// How long this end has waited so far.
    pub fn waited(&self) -> Waited {
        self.waited
    }

    /// What went over the sockets of all consumers so far.
    pub fn traffic(&self) -> Traffic {
        self.consumers.iter().fold(self.past_traffic, |sum, peer| sum + peer.channel.traffic())
    }
}
