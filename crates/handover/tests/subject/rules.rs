//! The bare rules of `handover_model::reservation` as a subject: the kernel's slots, walked as C23 says. With a mistake built in,
//! it shows that the tests see one.

use handover::reservation::{self, Entry};
use handover::{Access, Region};

use super::lines::{Chain, LINES, Line, LineOp};
use super::{BUFFERS, Files, Held, Met, Placed, READ, Refusal, Subject, WRITE};

/// A rule broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// C21: a reader waits for readers.
    ReadersMeetReaders,
    /// C28: the last import of a fence says what it is for, so a write is lowered to a read.
    Lowers,
    /// C23 and C27: a fence that is imported for writing leaves the slot it had for reading.
    NeverReplaces,
    /// C31: a fence that has ended takes a slot of its own for ever.
    KeepsTheEnded,
    /// There is always room.
    NoBound,
    /// C85: a fence as a whole leaves the points there.
    KeepsPoints,
    /// C87: the file of a point has the fence of that point alone.
    ForgetsEarlier,
}

#[derive(Debug, Default)]
pub(crate) struct Rules {
    slots: [Vec<Entry>; BUFFERS],
    files: Files,
    placed: Placed,
    lines: [Chain; LINES],
    mistake: Option<Mistake>,
}

impl Rules {
    pub(crate) fn with(mistake: Mistake) -> Self {
        Self { mistake: Some(mistake), ..Self::default() }
    }

    /// For subjects that fill up in a way of their own.
    pub(crate) fn with_room(room: usize) -> Self {
        Self { placed: Placed::with_room(room), ..Self::default() }
    }

    /// Did a point come below another, so that what the kernel says is blurred?
    pub(crate) fn is_blurred(&self, line: usize) -> bool {
        self.lines[line].is_blurred()
    }

    /// Has a fence ended whose slot a later import could take?
    pub(crate) fn has_ended_slots(&self, buffer: usize) -> bool {
        self.slots[buffer].iter().any(|slot| slot.done)
    }

    /// Is the kernel's query of this timeline worth nothing?
    pub(crate) fn is_query_blurred(&self, line: usize) -> bool {
        self.is_blurred(line) || self.lines[line].stands_on_a_whole()
    }

    fn pending(&self, buffer: usize, access: Access) -> Vec<usize> {
        let mut class = access.waits();
        if self.mistake == Some(Mistake::ReadersMeetReaders) {
            class = Access::Write.waits();
        }
        reservation::collect(&self.slots[buffer], class).map(|slot| slot.context as usize - 1).collect()
    }
}

/// The access that flags stand for: both is what a writer does.
pub(crate) fn access(flags: u32) -> Result<Access, Refusal> {
    match flags {
        READ => Ok(Access::Read),
        WRITE | 3 => Ok(Access::Write),
        _ => Err(Refusal::Invalid),
    }
}

/// An entry for the whole buffer. Every fence is the only one of its context, which is its number plus one.
pub(crate) fn entry(fence: usize, access: Access) -> Entry {
    Entry { context: fence as u64 + 1, seq: 1, usage: access.usage(), region: Region::WHOLE, done: false }
}

impl Subject for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn reset(&mut self) {
        self.placed.clear();
        *self = Self { mistake: self.mistake, placed: std::mem::take(&mut self.placed), ..Self::default() };
    }

    fn fence(&mut self) {
        self.files.fence();
    }

    fn end(&mut self, fence: usize) {
        self.files.end(fence);
        self.placed.end(fence);
        let keeps = self.mistake == Some(Mistake::KeepsTheEnded);
        for slot in self.slots.iter_mut().flatten().filter(|slot| slot.context == fence as u64 + 1) {
            slot.done = !keeps;
        }
    }

    fn merge(&mut self, one: usize, other: usize) {
        self.files.merge(one, other);
    }

    fn export(&mut self, buffer: usize, flags: u32) -> Result<(), Refusal> {
        let fences = self.pending(buffer, access(flags)?);
        self.files.push(fences);
        Ok(())
    }

    fn import(&mut self, buffer: usize, flags: u32, file: usize) -> Result<(), Refusal> {
        let access = access(flags)?;
        let fences = self.files.of(file);
        let allowed = self.placed.place(buffer, access, &fences);
        if allowed.is_err() && self.mistake != Some(Mistake::NoBound) {
            return allowed;
        }
        let slots = &mut self.slots[buffer];
        for new in fences.into_iter().map(|fence| entry(fence, access)) {
            let same = slots.iter_mut().find(|slot| !slot.done && slot.context == new.context);
            match (self.mistake, same) {
                (Some(Mistake::NeverReplaces), _) => slots.push(new),
                (Some(Mistake::Lowers), Some(slot)) => *slot = new,
                _ => reservation::attach(slots, new),
            }
        }
        Ok(())
    }

    fn access(&mut self, buffer: usize, flags: u32) -> Result<bool, Refusal> {
        let access = access(flags)?;
        self.placed.room(buffer, 1)?;
        Ok(self.pending(buffer, access).is_empty())
    }

    fn poll(&mut self, buffer: usize) -> (bool, bool) {
        (self.pending(buffer, Access::Read).is_empty(), self.pending(buffer, Access::Write).is_empty())
    }

    fn met(&self, buffer: usize, flags: u32) -> Met {
        let mut found = access(flags).map_or_else(|_| Vec::new(), |access| self.pending(buffer, access));
        let listed = found.len();
        found.sort_unstable();
        found.dedup();
        Met { busy: listed > 0, contexts: found.len(), listed }
    }

    fn held(&self, file: usize) -> Held {
        self.files.held(file)
    }

    fn on_line(&mut self, op: LineOp) -> Result<(), Refusal> {
        match op {
            LineOp::Submit { file, line, point: 0 } if self.mistake == Some(Mistake::KeepsPoints) => {
                self.lines[line].append(0, self.files.of(file));
            }
            LineOp::Take { line, point } if self.mistake == Some(Mistake::ForgetsEarlier) => {
                self.files.push(self.lines[line].alone(point)?);
            }
            LineOp::Submit { file, line, point } => self.lines[line].submit(point, self.files.of(file)),
            LineOp::Signal { line, point } => self.lines[line].submit(point, Vec::new()),
            LineOp::Reset { line } => self.lines[line].reset(),
            LineOp::Transfer { from, of, point } => {
                let fences = self.lines[from].of(of)?;
                self.lines[LINES - 1 - from].submit(point, fences);
            }
            LineOp::Take { line, point } => self.files.push(self.lines[line].of(point)?),
        }
        Ok(())
    }

    fn line(&self, line: usize) -> Line {
        self.lines[line].look(|fence| self.files.pends(fence))
    }
}
