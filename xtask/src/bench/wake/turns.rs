//! The ways to pass a turn between two processes: ours, and what each could be made of by hand.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use handover::timeline::{Reader, Timeline};
use handover::{Access, Acquire, Deadline, Lease, Region, Surface, acquire};
use handover_sys::clock::Monotonic;
use handover_sys::map::Mapping;
use handover_sys::{eventfd, futex, poll, socket};

use super::Result;

/// One process's half of a mechanism.
pub(super) trait Turn {
    /// Passes the turn to the other process. Gives the instant just before the call that does it: what could be prepared
    /// was prepared before.
    fn pass(&mut self) -> Result<Monotonic>;

    /// Sleeps until the turn comes back.
    fn wait(&mut self) -> Result<()>;
}

/// A word in shared memory that counts passes. Odd: the consumer's turn.
pub(super) struct Futex {
    map: Mapping,
    /// The value at which it is our turn next.
    mine: u32,
}

impl Futex {
    pub(super) fn new(map: Mapping, producer: bool) -> Self {
        Self { map, mine: if producer { 0 } else { 1 } }
    }

    fn word(&self) -> Result<&std::sync::atomic::AtomicU32> {
        self.map.words32().first().ok_or_else(|| "an empty mapping".into())
    }
}

impl Turn for Futex {
    fn pass(&mut self) -> Result<Monotonic> {
        self.mine = self.mine.wrapping_add(2);
        let word = self.word()?;
        let before = Monotonic::now();
        word.store(self.mine.wrapping_sub(1), Ordering::SeqCst);
        futex::wake_bitset(word, NonZeroU32::MAX, 1)?;
        Ok(before)
    }

    fn wait(&mut self) -> Result<()> {
        let word = self.word()?;
        loop {
            let now = word.load(Ordering::SeqCst);
            if now == self.mine {
                return Ok(());
            }
            futex::wait_bitset(word, now, NonZeroU32::MAX, None)?;
        }
    }
}

/// Two event descriptors, one a direction.
pub(super) struct Events {
    pub(super) wait: OwnedFd,
    pub(super) pass: OwnedFd,
}

impl Turn for Events {
    fn pass(&mut self) -> Result<Monotonic> {
        let before = Monotonic::now();
        eventfd::signal(&self.pass)?;
        Ok(before)
    }

    fn wait(&mut self) -> Result<()> {
        poll::wait_readable(&self.wait, None)?;
        eventfd::drain(&self.wait)?;
        Ok(())
    }
}

/// A message each way.
pub(super) struct Messages(pub(super) OwnedFd);

impl Turn for Messages {
    fn pass(&mut self) -> Result<Monotonic> {
        let before = Monotonic::now();
        socket::send(&self.0, &[7; 64], &[], false)?;
        Ok(before)
    }

    fn wait(&mut self) -> Result<()> {
        let received = socket::receive(&self.0, &mut [0; 64], 0)?;
        if received.len == 64 { Ok(()) } else { Err("the other process closed its socket".into()) }
    }
}

/// A surface that both acquire in turns: whoever holds it takes the place behind the other before it lets go.
pub(super) struct Ours {
    surface: Surface,
    access: Access,
    held: Option<Lease>,
    next: Option<Acquire>,
}

impl Ours {
    /// Writes, and has the first turn.
    pub(super) fn producer(surface: Surface) -> Result<Self> {
        let held = Some(line_up(&surface, Access::Write)?.wait()?);
        Ok(Self { surface, access: Access::Write, held, next: None })
    }

    /// Reads, and stands behind the producer.
    pub(super) fn consumer(surface: Surface) -> Result<Self> {
        let next = Some(line_up(&surface, Access::Read)?);
        Ok(Self { surface, access: Access::Read, held: None, next })
    }
}

impl Turn for Ours {
    fn pass(&mut self) -> Result<Monotonic> {
        let held = self.held.take().ok_or("passed a turn that it does not have")?;
        self.next = Some(line_up(&self.surface, self.access)?);
        let before = Monotonic::now();
        held.release()?;
        Ok(before)
    }

    fn wait(&mut self) -> Result<()> {
        let next = self.next.take().ok_or("waits for a turn without a place in line")?;
        self.held = Some(next.wait()?);
        Ok(())
    }
}

/// As [`Ours`], but the wait is a poll on the descriptor, as in an event loop.
pub(super) struct OursByDescriptor(Ours);

impl OursByDescriptor {
    pub(super) fn consumer(surface: Surface) -> Result<Self> {
        let mut ours = Ours::consumer(surface)?;
        watch(&mut ours.next)?;
        Ok(Self(ours))
    }
}

impl Turn for OursByDescriptor {
    fn pass(&mut self) -> Result<Monotonic> {
        let held = self.0.held.take().ok_or("passed a turn that it does not have")?;
        self.0.next = Some(line_up(&self.0.surface, self.0.access)?);
        watch(&mut self.0.next)?;
        let before = Monotonic::now();
        held.release()?;
        Ok(before)
    }

    fn wait(&mut self) -> Result<()> {
        let mut next = self.0.next.take().ok_or("waits for a turn without a place in line")?;
        while self.0.held.is_none() {
            poll::wait_readable(next.descriptor()?, None)?;
            self.0.held = next.poll()?;
        }
        Ok(())
    }
}

/// Makes the descriptor now, so that the wait only polls it.
fn watch(next: &mut Option<Acquire>) -> Result<()> {
    if let Some(next) = next {
        next.descriptor()?;
    }
    Ok(())
}

/// Two timelines, each written by one process and read by the other.
pub(super) struct Points {
    mine: Timeline,
    theirs: Reader,
    passed: u64,
    waited: u64,
}

impl Points {
    pub(super) fn new(mine: Timeline, theirs: Reader) -> Self {
        Self { mine, theirs, passed: 0, waited: 0 }
    }
}

impl Turn for Points {
    fn pass(&mut self) -> Result<Monotonic> {
        self.passed += 1;
        let before = Monotonic::now();
        self.mine.signal(self.passed)?;
        Ok(before)
    }

    fn wait(&mut self) -> Result<()> {
        self.waited += 1;
        Ok(self.theirs.point(self.waited).wait(Deadline::Never)?)
    }
}

fn line_up(surface: &Surface, access: Access) -> Result<Acquire> {
    Ok(acquire(&[(surface, access, Region::WHOLE)], Deadline::Never)?)
}
