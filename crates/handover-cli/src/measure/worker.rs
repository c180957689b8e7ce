//! A worker: the process of one owner, started by the parent as `handover participant NAME --jobs`.
//!
//! It has a queue and a timeline for each of its engines, submits what it is told, and tells how each job went. When the parent
//! hangs up it is gone at once.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use handover::fence::Status;
use handover::queue::{self, Habits};
use handover::timeline::{Reader, Timeline};
use handover::transport::Channel;
use handover::{Access, Deadline, Device, Fence, Handle, Lease, Monotonic, Queue, Region, Surface, Wish, import};

use super::message::{After, Command, Event, Line, MAX_HAZARDS, Part, Policy, Ran, Seen, Submit, Sync, Touch};
use super::stamp::Work;
use super::thread;
use crate::participant::end_with_parent;
use crate::participant::status::Notes;

/// Why a worker could not go on, in words.
pub(super) type Trouble = String;

/// The whole life of a worker, with the control socket as standard input.
pub fn main() -> ExitCode {
    let control = match connect() {
        Ok(control) => Arc::new(control),
        Err(trouble) => {
            let _ = writeln!(
                std::io::stderr(),
                "handover participant: {trouble}; it is started by `handover run`, not by hand"
            );
            return ExitCode::from(2);
        }
    };
    match work(&control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            // A parent that is gone hears nothing, and needs nothing.
            let _ = tell(&control, &Event::Failed(trouble), None);
            ExitCode::FAILURE
        }
    }
}

fn connect() -> Result<Channel, Trouble> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(words)?;
    let control = Channel::from_fd(socket, Default::default()).map_err(words)?;
    end_with_parent(control.peer().pid)?;
    Ok(control)
}

fn work(control: &Arc<Channel>) -> Result<(), Trouble> {
    let (bytes, descriptors) = receive(control)?;
    let part: Part = serde_json::from_slice(&bytes).map_err(|error| format!("no part: {error}"))?;
    let page = descriptors.into_iter().next().ok_or("no status page")?;
    let mut worker = Worker::new(control, &part, Notes::on(page))?;
    worker.set_up(&part)?;
    loop {
        match hear(control)? {
            (Command::Finish, _) => break,
            (command, _) => worker.obey(command)?,
        }
    }
    let leave = watch(control)?;
    worker.finish()?;
    tell(control, &Event::Done, None)?;
    // Until then others may wait for a timeline whose writer must live.
    leave.recv().map_err(words)
}

struct Worker {
    control: Arc<Channel>,
    notes: Notes,
    deadline: Deadline,
    gate: Option<Fence>,
    surfaces: HashMap<u32, Surface>,
    engines: HashMap<u32, Engine>,
    releases: HashMap<u32, Timeline>,
    lines: HashMap<Line, Reader>,
    running: Vec<Running>,
    threads: Vec<thread::Standing>,
}

struct Engine {
    queue: Queue,
    timeline: Timeline,
    submitted: u64,
}

struct Running {
    job: u32,
    engine: u32,
    submitted: Monotonic,
    fence: Fence,
    ran: Arc<Mutex<Ran>>,
}

impl Worker {
    fn new(control: &Arc<Channel>, part: &Part, notes: Notes) -> Result<Self, Trouble> {
        let habits = habits(part.sync, part.policy);
        let engine = |(number, name): &(u32, String)| {
            let queue = Queue::with_habits(name, habits).map_err(words)?;
            Ok((*number, Engine { queue, timeline: Timeline::new(), submitted: 0 }))
        };
        Ok(Self {
            control: Arc::clone(control),
            notes,
            deadline: Deadline::At(Monotonic(part.deadline)),
            gate: None,
            surfaces: HashMap::new(),
            engines: part.engines.iter().map(engine).collect::<Result<_, Trouble>>()?,
            releases: part.releases.iter().map(|surface| (*surface, Timeline::new())).collect(),
            lines: HashMap::new(),
            running: Vec::new(),
            threads: Vec::new(),
        })
    }

    /// Its timelines go out first: others cannot be ready without them.
    fn set_up(&mut self, part: &Part) -> Result<(), Trouble> {
        let engines = self.engines.iter().map(|(number, engine)| (Line::Engine(*number), &engine.timeline));
        let releases = self.releases.iter().map(|(surface, timeline)| (Line::Release(*surface), timeline));
        for (line, timeline) in engines.chain(releases) {
            tell(&self.control, &Event::Line(line), Some(timeline.to_fd().map_err(words)?))?;
        }
        while self.gate.is_none()
            || self.surfaces.len() < part.surfaces as usize
            || self.lines.len() < part.lines as usize
        {
            match hear(&self.control)? {
                (Command::Surface { number, handle }, descriptors) => {
                    let handle = Handle::from_parts(&handle, descriptors).map_err(words)?;
                    let surface = import(handle, Device::PLAIN).map_err(words)?;
                    self.surfaces.insert(number, surface);
                }
                (Command::Gate, descriptors) => {
                    let gate = reader(descriptors)?;
                    self.gate = Some(gate.point(1).wait_submitted(self.deadline).map_err(words)?);
                }
                (Command::Line(line), descriptors) => {
                    self.lines.insert(line, reader(descriptors)?);
                }
                (command, _) => return Err(format!("told too early: {command:?}")),
            }
        }
        tell(&self.control, &Event::Ready, None)
    }

    fn obey(&mut self, command: Command) -> Result<(), Trouble> {
        let event = match command {
            Command::Submit(submit) => self.submit(&submit)?,
            Command::Import { of, on } => {
                let fence = self.fence(of)?;
                let (surface, access, region) = self.wish(on)?;
                surface.import_fence(&fence, access, region, self.deadline).map_err(words)?;
                Event::Did
            }
            Command::Release { export, after, surface, point } => {
                let fences = export.into_iter().map(After::Export).chain(after);
                let fences = fences.map(|after| self.fence(after)).collect::<Result<Vec<_>, _>>()?;
                let union = Fence::union(&fences);
                let timeline = self.releases.get(&surface).ok_or("a release of a surface of somebody else's")?;
                timeline.submit(point, &union).map_err(words)?;
                Event::Did
            }
            Command::Thread(thread) => {
                let surface = self.surfaces.get(&thread.surface).ok_or("an unknown surface")?.clone();
                let gate = self.gate.clone().ok_or("no gate")?;
                self.threads.push(thread::stand(thread, surface, gate, self.deadline)?);
                Event::Did
            }
            other => return Err(format!("told too late: {other:?}")),
        };
        tell(&self.control, &event, None)
    }

    fn submit(&mut self, submit: &Submit) -> Result<Event, Trouble> {
        let after = submit.after.iter().map(|after| self.fence(*after)).collect::<Result<Vec<_>, _>>()?;
        let after: Vec<Fence> = self.gate.iter().cloned().chain(after).collect();
        let work = self.pixels(submit)?;
        let wishes = submit.set.iter().map(|touch| self.wish(*touch)).collect::<Result<Vec<_>, _>>()?;
        let set: Vec<Wish<'_>> = wishes.iter().map(|(surface, access, region)| (surface, *access, *region)).collect();
        let engine = self.engines.get_mut(&submit.engine).ok_or("a job for an engine of somebody else's")?;
        let ran = Arc::new(Mutex::new(Ran { job: submit.job, ..Ran::default() }));
        let noted = Arc::clone(&ran);
        let job = move |lease: &Lease| {
            let started = Monotonic::now();
            let seen = work.run(lease, started)?;
            note(&noted, started, seen);
            Ok(())
        };
        let fence = engine.queue.submit(&set, &after, self.deadline, job).map_err(words)?;
        let submitted = Monotonic::now();
        engine.submitted += 1;
        engine.timeline.submit(engine.submitted, &fence).map_err(words)?;
        let event = Event::Submitted { at: submitted.0, context: fence.context(), seq: fence.seq() };
        self.running.push(Running { job: submit.job, engine: submit.engine, submitted, fence, ran });
        Ok(event)
    }

    fn pixels(&self, submit: &Submit) -> Result<Work, Trouble> {
        let surface = |number: &u32| self.surfaces.get(number).cloned().ok_or("an unknown surface");
        let reads = submit.reads.iter().map(|look| Ok((surface(&look.surface)?, *look)));
        let writes = submit.writes.iter().map(|drawn| Ok((surface(&drawn.surface)?, *drawn)));
        Ok(Work {
            job: submit.job,
            reads: reads.collect::<Result<_, Trouble>>()?,
            writes: writes.collect::<Result<_, Trouble>>()?,
            duration: Duration::from_nanos(submit.duration),
        })
    }

    /// A surface, and what is done to its cells.
    fn wish(&self, touch: Touch) -> Result<(Surface, Access, Region), Trouble> {
        let surface = self.surfaces.get(&touch.surface).ok_or("an unknown surface")?.clone();
        Ok((surface, access(touch.writes), Region::from_bits(touch.region)))
    }

    fn fence(&self, after: After) -> Result<Fence, Trouble> {
        match after {
            After::Own(job) => {
                let own = self.running.iter().find(|running| running.job == job);
                own.map(|running| running.fence.clone()).ok_or_else(|| format!("job {job} is not submitted here"))
            }
            After::Point(line, point) => {
                let reader = self.lines.get(&line).ok_or("an unknown timeline")?;
                reader.point(point).wait_submitted(self.deadline).map_err(words)
            }
            After::Export(touch) => {
                let (surface, access, region) = self.wish(touch)?;
                surface.export_fence(access, region).map_err(words)
            }
        }
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        let deadline = self.deadline;
        // The jobs of one engine end in order, those of two do not: what a job has to tell must not wait for another engine.
        let mut engines: HashMap<u32, Vec<Running>> = HashMap::new();
        for job in std::mem::take(&mut self.running) {
            engines.entry(job.engine).or_default().push(job);
        }
        let (tells, told) = channel();
        let threads = std::mem::take(&mut self.threads);
        std::thread::scope(|scope| {
            for jobs in engines.into_values() {
                let tells = tells.clone();
                let wait = move || jobs.into_iter().try_for_each(|job| tells.send(Ok(job.wait(deadline))));
                std::thread::Builder::new().name("waits".into()).spawn_scoped(scope, wait).map_err(words)?;
            }
            for thread in threads {
                let tells = tells.clone();
                let wait = move || tells.send(thread.finish(deadline));
                std::thread::Builder::new().name("waits".into()).spawn_scoped(scope, wait).map_err(words)?;
            }
            drop(tells);
            for (done, ran) in (1..).zip(told) {
                tell(&self.control, &Event::Ran(ran?), None)?;
                self.notes.frames(done);
            }
            Ok(())
        })
    }
}

impl Running {
    /// How it went.
    fn wait(self, deadline: Deadline) -> Ran {
        let result = self.fence.wait(deadline);
        let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ran.submitted = self.submitted.0;
        if let Status::Done(at) | Status::Failed(at, _) = self.fence.status() {
            ran.released = at.0;
        }
        ran.failed = result.err().map(|error| error.to_string());
        ran
    }
}

/// Notes what a job found, before its fence ends.
pub(super) fn note(ran: &Mutex<Ran>, started: Monotonic, mut seen: Vec<Seen>) {
    let more = seen.len().saturating_sub(MAX_HAZARDS);
    seen.truncate(MAX_HAZARDS);
    let mut ran = ran.lock().unwrap_or_else(PoisonError::into_inner);
    (ran.started, ran.ended) = (started.0, Monotonic::now().0);
    (ran.hazards, ran.more_hazards) = (seen, more);
}

pub(super) fn access(writes: bool) -> Access {
    if writes { Access::Write } else { Access::Read }
}

fn habits(sync: Sync, policy: Policy) -> Habits {
    let sync = match sync {
        Sync::Implicit => queue::Sync::Implicit,
        Sync::Explicit => queue::Sync::Explicit,
    };
    let policy = match policy {
        Policy::Honest => queue::Policy::Honest,
        Policy::AlwaysWrite => queue::Policy::AlwaysWrite,
        Policy::SkipOwnOwner => queue::Policy::SkipOwnOwner,
        Policy::None => queue::Policy::None,
    };
    Habits { sync, policy }
}

fn reader(descriptors: Vec<OwnedFd>) -> Result<Reader, Trouble> {
    let descriptor = descriptors.into_iter().next().ok_or("a timeline without its descriptor")?;
    Reader::new(descriptor).map_err(words)
}

fn receive(control: &Channel) -> Result<(Vec<u8>, Vec<OwnedFd>), Trouble> {
    match control.receive_bytes(2, Deadline::Never) {
        Ok(Some(received)) => Ok(received),
        // Nobody is left to hear of results.
        Ok(None) => std::process::exit(1),
        Err(error) => Err(error.to_string()),
    }
}

fn hear(control: &Channel) -> Result<(Command, Vec<OwnedFd>), Trouble> {
    let (bytes, descriptors) = receive(control)?;
    let command = serde_json::from_slice(&bytes).map_err(|error| format!("a command means nothing here: {error}"))?;
    Ok((command, descriptors))
}

fn tell(control: &Channel, event: &Event, descriptor: Option<OwnedFd>) -> Result<(), Trouble> {
    let bytes = serde_json::to_vec(event).map_err(words)?;
    let descriptors: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
    control.send_bytes(&bytes, &descriptors, Deadline::Never).map_err(words)
}

/// While the jobs run nothing is told but to leave. A hang-up means that nobody is left to hear of results.
fn watch(control: &Arc<Channel>) -> Result<Receiver<()>, Trouble> {
    let (tell, told) = channel();
    let control = Arc::clone(control);
    let listen = move || {
        while let Ok((Command::Leave, _)) = hear(&control) {
            let _ = tell.send(());
        }
        std::process::exit(1);
    };
    let thread = std::thread::Builder::new().name("parent".into()).spawn(listen);
    thread.map(|_| told).map_err(words)
}

pub(super) fn words(error: impl std::fmt::Display) -> Trouble {
    error.to_string()
}
