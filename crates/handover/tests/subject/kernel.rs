//! The kernel's reservation as a subject: udmabufs, and fences of vgem, each on a scratch buffer until it is imported.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use handover_sys::clock::Monotonic;
use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::syncobj::{self, Wait};
use handover_sys::drm::{self, Cap, Gem, Syncobj, prime, vgem};
use handover_sys::memfd::{self, Seals};
use handover_sys::sync_file::{self, Status};
use handover_sys::udmabuf;

use super::lines::{LINES, Line, LineOp, PROBES};
use super::rules::access;
use super::{BUFFERS, Files, Held, Met, Placed, Refusal, Subject};

const PAGE: u64 = 4096;
/// "Invalid argument" (`errno(3)`).
const EINVAL: i32 = 22;
/// "Timer expired" (`errno(3)`).
const ETIME: i32 = 62;
/// A fence of vgem ends by itself after 10 s. Answers that came later than this are not looked at.
const IN_TIME: Duration = Duration::from_secs(8);

/// Memory that a fence is attached to where nobody else is, and exported from.
#[derive(Debug)]
struct Scratch {
    buffer: OwnedFd,
    gem: Gem,
}

#[derive(Debug)]
struct Pending {
    fence: vgem::Fence,
    scratch: Scratch,
}

#[derive(Debug)]
pub(crate) struct Kernel {
    node: OwnedFd,
    vgem: vgem::File<'static>,
    buffers: Vec<OwnedFd>,
    /// Free for the next fence.
    scratch: Vec<Scratch>,
    /// By fence; `None` once it has ended.
    fences: Vec<Option<Pending>>,
    files: Vec<OwnedFd>,
    /// What the library's bound is counted from. The kernel is not asked, so that its answers stay its own.
    leaves: Files,
    placed: Placed,
    started: Monotonic,
    /// A file with timelines, and the timelines.
    lines: Option<(OwnedFd, [Syncobj; LINES])>,
}

impl Kernel {
    /// The reason, where this machine has no udmabuf or no vgem.
    pub(crate) fn open() -> Result<Self, String> {
        let node = udmabuf::open().map_err(|error| format!("udmabuf: {error}"))?;
        let nodes = drm::nodes().map_err(|error| format!("DRM nodes: {error}"))?;
        let opened = nodes.iter().filter_map(|node| drm::open(&node.path).ok());
        let vgem = opened
            .into_iter()
            .find_map(|file| vgem::File::shared(Arc::new(file)).ok())
            .ok_or("no node of the driver vgem")?;
        let mut this = Self {
            node,
            vgem,
            buffers: Vec::new(),
            scratch: Vec::new(),
            fences: Vec::new(),
            files: Vec::new(),
            leaves: Files::default(),
            placed: Placed::default(),
            started: Monotonic::now(),
            lines: None,
        };
        this.reset();
        Ok(this)
    }

    /// As [`open`](Self::open), with timelines and without the library's bound.
    pub(crate) fn with_lines() -> Result<Self, String> {
        let mut this = Self::open()?;
        let has = |node: &OwnedFd| drm::capability(node, Cap::SyncobjTimeline).is_ok_and(|value| value == 1);
        let nodes = drm::nodes().map_err(|error| format!("DRM nodes: {error}"))?;
        let mut opened = nodes.iter().filter_map(|node| drm::open(&node.path).ok());
        let node = opened.find(has).ok_or("no node of a driver with timelines")?;
        let lines = [(); LINES].map(|()| syncobj::create(&node, false).expect("a syncobj"));
        this.lines = Some((node, lines));
        this.placed = Placed::with_room(usize::MAX);
        Ok(this)
    }

    /// Does something with an object that is no timeline yet, and takes it away again.
    fn with_whole<T>(node: &OwnedFd, run: impl FnOnce(Syncobj) -> std::io::Result<T>) -> Result<T, Refusal> {
        let whole = syncobj::create(node, false).expect("a syncobj");
        let result = run(whole);
        syncobj::destroy(node, whole).expect("destroy");
        result.map_err(unsubmitted)
    }

    /// The dma-buf behind a buffer.
    pub(crate) fn buffer(&self, buffer: usize) -> &OwnedFd {
        &self.buffers[buffer]
    }

    /// A file as the kernel has it.
    pub(crate) fn file(&self, file: usize) -> &OwnedFd {
        &self.files[file]
    }

    fn fresh(&self) -> OwnedFd {
        let memory = memfd::create("page", PAGE).expect("memfd");
        memfd::add_seals(&memory, Seals::SHRINK).expect("seal");
        udmabuf::create(&self.node, &memory, 0, PAGE).expect("udmabuf")
    }

    fn export_file(&self, buffer: usize, flags: u32) -> Result<OwnedFd, Refusal> {
        dma_buf::export_sync_file(&self.buffers[buffer], Direction::from_bits_retain(flags)).map_err(refusal)
    }
}

fn refusal(error: std::io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(EINVAL) => Refusal::Invalid,
        _ => panic!("{error}"),
    }
}

fn unsubmitted(error: std::io::Error) -> Refusal {
    match refusal(error) {
        Refusal::Invalid => Refusal::Unsubmitted,
        other => other,
    }
}

/// Whether fences pend, and how many there are once the kernel itself has kept only the latest of each context: a file merged
/// with itself.
fn state(file: &OwnedFd) -> Held {
    if sync_file::status(file).expect("status") != Status::Pending {
        return Held { pending: false, contexts: 0 };
    }
    let merged = sync_file::merge(file, file, "each context once").expect("merge");
    Held { pending: true, contexts: sync_file::count(&merged).expect("count") as usize }
}

impl Subject for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn reset(&mut self) {
        (0..self.fences.len()).for_each(|fence| self.end(fence));
        self.fences.clear();
        self.files.clear();
        self.leaves = Files::default();
        self.placed.clear();
        if let Some((node, lines)) = &self.lines {
            syncobj::reset(node, lines).expect("reset");
        }
        // Fresh ones: slots of fences that have ended stay in a reservation.
        self.buffers = (0..BUFFERS).map(|_| self.fresh()).collect();
        self.started = Monotonic::now();
    }

    fn fence(&mut self) {
        let scratch = self.scratch.pop().unwrap_or_else(|| {
            let buffer = self.fresh();
            let gem = prime::import(&self.vgem, &buffer).expect("import by vgem");
            Scratch { buffer, gem }
        });
        let fence = vgem::attach(&self.vgem, scratch.gem, Direction::WRITE).expect("attach");
        self.files.push(dma_buf::export_sync_file(&scratch.buffer, Direction::READ).expect("export"));
        self.fences.push(Some(Pending { fence, scratch }));
        self.leaves.fence();
    }

    fn end(&mut self, fence: usize) {
        let Some(pending) = self.fences[fence].take() else { return };
        if let Err(error) = vgem::signal(&self.vgem, pending.fence) {
            assert!(self.is_late(), "{error}");
        }
        self.scratch.push(pending.scratch);
        self.leaves.end(fence);
        self.placed.end(fence);
    }

    fn merge(&mut self, one: usize, other: usize) {
        let merged = sync_file::merge(&self.files[one], &self.files[other], "both").expect("merge");
        self.files.push(merged);
        self.leaves.merge(one, other);
    }

    fn export(&mut self, buffer: usize, flags: u32) -> Result<(), Refusal> {
        let file = self.export_file(buffer, flags)?;
        self.files.push(file);
        self.leaves.push(self.placed.met(buffer, access(flags)?));
        Ok(())
    }

    fn import(&mut self, buffer: usize, flags: u32, file: usize) -> Result<(), Refusal> {
        let import = || {
            let direction = Direction::from_bits_retain(flags);
            dma_buf::import_sync_file(&self.buffers[buffer], direction, &self.files[file]).map_err(refusal)
        };
        // Flags that mean nothing are for the kernel to refuse.
        let Ok(access) = access(flags) else { return import() };
        let fences = self.leaves.of(file);
        self.placed.room(buffer, fences.len())?;
        import()?;
        self.placed.place(buffer, access, &fences)
    }

    fn access(&mut self, buffer: usize, flags: u32) -> Result<bool, Refusal> {
        let (file, direction) = (&self.buffers[buffer], Direction::from_bits_retain(flags));
        if access(flags).is_ok() {
            self.placed.room(buffer, 1)?;
            if self.met(buffer, flags).busy {
                return Ok(false);
            }
        }
        dma_buf::sync_start(file, direction).map_err(refusal)?;
        dma_buf::sync_end(file, direction).expect("the end of a bracket");
        Ok(true)
    }

    fn poll(&mut self, buffer: usize) -> (bool, bool) {
        let idle = |direction| dma_buf::is_idle(&self.buffers[buffer], direction).expect("poll");
        (idle(Direction::READ), idle(Direction::WRITE))
    }

    fn met(&self, buffer: usize, flags: u32) -> Met {
        let Ok(file) = self.export_file(buffer, flags) else { return Met { busy: false, contexts: 0, listed: 0 } };
        let Held { pending, contexts } = state(&file);
        let listed = if pending { sync_file::count(&file).expect("count") as usize } else { 0 };
        Met { busy: pending, contexts, listed }
    }

    fn held(&self, file: usize) -> Held {
        state(&self.files[file])
    }

    fn is_late(&self) -> bool {
        Monotonic::now().saturating_since(self.started) > IN_TIME
    }

    fn on_line(&mut self, op: LineOp) -> Result<(), Refusal> {
        let (node, lines) = self.lines.as_ref().expect("timelines");
        let none = Wait::empty();
        let taken = |line: usize, point| {
            Self::with_whole(node, |whole| {
                syncobj::transfer(node, (lines[line], point), (whole, 0), none)?;
                syncobj::export_sync_file(node, whole)
            })
        };
        // A fence that was a point takes its timeline along, so that the whole has points again (measured on 6.12). Merged with
        // itself it is what it waits for, and no more.
        let replace = |line: usize, file: &OwnedFd| {
            let leaves = sync_file::merge(file, file, "the leaves").expect("merge");
            syncobj::import_sync_file(node, lines[line], &leaves).map_err(unsubmitted)
        };
        match op {
            LineOp::Submit { file, line, point: 0 } => replace(line, &self.files[file]),
            LineOp::Submit { file, line, point } => {
                let file = &self.files[file];
                Self::with_whole(node, |whole| {
                    syncobj::import_sync_file(node, whole, file)?;
                    syncobj::transfer(node, (whole, 0), (lines[line], point), none)
                })
            }
            // The call for points takes 0 for a point below the others, once there are any (measured on 6.12).
            LineOp::Signal { line, point: 0 } => syncobj::signal(node, &[lines[line]]).map_err(unsubmitted),
            LineOp::Signal { line, point } => {
                syncobj::timeline_signal(node, &[lines[line]], &[point]).map_err(unsubmitted)
            }
            LineOp::Reset { line } => syncobj::reset(node, &[lines[line]]).map_err(unsubmitted),
            LineOp::Transfer { from, of, point: 0 } => replace(LINES - 1 - from, &taken(from, of)?),
            LineOp::Transfer { from, of, point } => {
                let to = lines[LINES - 1 - from];
                syncobj::transfer(node, (lines[from], of), (to, point), none).map_err(unsubmitted)
            }
            LineOp::Take { line, point } => {
                let file = taken(line, point)?;
                self.files.push(file);
                self.leaves.push(Vec::new());
                Ok(())
            }
        }
    }

    fn line(&self, line: usize) -> Line {
        let (node, lines) = self.lines.as_ref().expect("timelines");
        let query = |submitted| {
            let mut points = [0];
            syncobj::query(node, &[lines[line]], &mut points, submitted).expect("query");
            points[0]
        };
        let is_over = |point, flags| {
            let waited = syncobj::timeline_wait(node, &[lines[line]], &[point], flags, Some(Monotonic(0)));
            waited.map_or_else(|error| error.raw_os_error() != Some(ETIME), |_| true)
        };
        let points = PROBES.map(|point| (is_over(point, Wait::AVAILABLE), is_over(point, Wait::FOR_SUBMIT)));
        Line { completed: query(false), submitted: query(true), points }
    }
}
