//! The participant `program`: runs somebody's Wayland client in a compositor of its own; what the client shows becomes its frames.
//!
//! The compositor has one screen, as large as the participant's pictures. It lays the client's newest surface on black, from the top left,
//! as any compositor would, and each picture is one frame. The client is connected by a socket that it inherits: nobody else can.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use handover::backend::Software;
use handover::negotiate::{Offer, OfferEntry};
use handover::{Access, Deadline, Device, Extent, Format, Modifier, Region, Stage, acquire};
use handover_wayland::DeviceId;
use handover_wayland::server::{Committed, Event, Options, Server, WindowId};
use rustix::io::{FdFlags, fcntl_setfd};

use super::compose::{BACKGROUND, place};
use super::desk::{Desk, micros, timed};
use super::job::Job;
use super::output::Output;
use super::pixels::from_memory;
use super::{Failure, Result};
use crate::draw::{Area, Canvas, Pixels};

/// How long a client may take until it shows something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that shows nothing new for so long is shown as it is.
const STILL: Duration = Duration::from_secs(1);

/// How long one wait for the client is, between looks whether to stop.
const SLICE: Duration = Duration::from_millis(100);

/// What a client may show: a CPU composes.
const FORMATS: [Format; 4] = [Format::XRGB8888, Format::ARGB8888, Format::XBGR8888, Format::ABGR8888];

/// Any fence of the kernel has ended by then.
const FENCE: Duration = Duration::from_secs(20);

/// Runs `command` until the run has its frames, nobody reads, or the client ends.
pub(super) fn program(job: &Job, command: &[String], output: &mut Output, desk: &mut Desk) -> Result<()> {
    let mut server = Server::new(options(job)?)?;
    let mut client = Client::start(command, &mut server)?;
    let mut shown: Option<WindowId> = None;
    let mut frames = 0;
    while frames < job.frames {
        let Some(room) = output.room(desk)? else { break };
        let patience = if frames == 0 { PATIENCE } else { STILL };
        match next(&mut server, &mut client, &mut shown, patience, desk)? {
            Next::Picture(committed) => draw(&committed, output, desk)?,
            Next::Still if frames > 0 => {}
            Next::Still => {
                return Err(Failure::new(format!("{} has shown nothing for {PATIENCE:?}", client.name)));
            }
            Next::End if frames == 0 && !desk.is_stopping() => {
                return Err(Failure::new(format!("{} has ended before it showed anything", client.name)));
            }
            Next::End => {
                desk.tally.ended_at = Some(frames).filter(|_| !desk.is_stopping());
                break;
            }
        }
        output.submit(room, desk)?;
        frames += 1;
        desk.frame_done(frames);
    }
    desk.frames_done();
    Ok(())
}

/// What the client did.
enum Next {
    /// It shows another picture.
    Picture(Box<Committed>),
    /// Nothing new.
    Still,
    /// It has closed its window or ended well; or the run is to stop.
    End,
}

/// Only the first window counts; others are told that theirs are shown, and nobody looks.
fn next(
    server: &mut Server,
    client: &mut Client,
    shown: &mut Option<WindowId>,
    patience: Duration,
    desk: &mut Desk,
) -> Result<Next> {
    desk.stage(Stage::Access);
    let started = Instant::now();
    let next = loop {
        let mut newest = None;
        let mut is_gone = false;
        for event in server.dispatch(Deadline::after(SLICE))? {
            match event {
                Event::Committed(committed) if *shown.get_or_insert(committed.window()) == committed.window() => {
                    newest = Some(committed);
                }
                Event::Gone(window) if *shown == Some(window) => is_gone = true,
                Event::Refused(error) => return Err(error.into()),
                _ => {}
            }
        }
        if let Some(committed) = newest {
            break Next::Picture(Box::new(committed));
        }
        if is_gone || desk.is_stopping() || client.has_ended()? {
            break Next::End;
        }
        if started.elapsed() >= patience {
            break Next::Still;
        }
    };
    desk.tally.time.device += micros(started.elapsed());
    Ok(next)
}

/// Composes the picture. The client has its surface back afterwards.
fn draw(committed: &Committed, output: &mut Output, desk: &mut Desk) -> Result<()> {
    let surface = committed.surface();
    let (Some(format), Some(extent)) = (surface.format(), surface.layout().extent()) else { return Ok(()) };
    let mut picture = Pixels::new(extent);
    let stride = picture.stride();
    let acquire = acquire(&[(surface, Access::Read, Region::WHOLE)], Deadline::after(FENCE))?;
    let lease = timed(&mut desk.tally.time.fence, || acquire.wait())?;
    timed(&mut desk.tally.time.cpu, || -> handover::Result<()> {
        lease.read(surface)?.read_image(0, picture.bytes_mut(), stride)?;
        from_memory(format, picture.bytes_mut());
        let canvas = output.pixels();
        canvas.fill(Area::whole(canvas.extent()), BACKGROUND);
        place(canvas, (0, 0), &picture);
        Ok(())
    })?;
    Ok(lease.release()?)
}

fn options(job: &Job) -> Result<Options> {
    let entries = FORMATS.iter().map(|format| OfferEntry::new(Some(*format), Modifier::LINEAR)).collect();
    // Clients open the device to allocate from; those that draw on the CPU do without.
    let nodes = ["/dev/dri/renderD128", "/dev/dri/card0"];
    let device = nodes.into_iter().find_map(|node| DeviceId::of(node).ok()).unwrap_or(DeviceId(0));
    let options = Options::new(device, Offer { party: job.name.clone(), entries })?;
    let rate = job.rate()?;
    let extent: Extent = job.extent()?;
    Ok(Options {
        extent,
        refresh: Duration::from_secs(u64::from(rate.seconds())) / rate.frames().max(1),
        reader: Device::PLAIN,
        copies: Some(Arc::new(Software)),
        ..options
    })
}

/// The program that shows something. Ended when dropped.
struct Client {
    name: String,
    child: Child,
}

impl Client {
    fn start(command: &[String], server: &mut Server) -> Result<Self> {
        let Some((name, arguments)) = command.split_first() else { return Err(Failure::new("no command")) };
        let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{name} cannot be started: {error}"));
        let (ours, theirs) = UnixStream::pair().map_err(|error| failed(&error))?;
        // One process is started here, and this socket is for it.
        fcntl_setfd(theirs.as_fd(), FdFlags::empty()).map_err(|error| failed(&error))?;
        let child = Command::new(name)
            .args(arguments)
            .env("WAYLAND_SOCKET", theirs.as_raw_fd().to_string())
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| failed(&error))?;
        drop(theirs);
        server.add(ours)?;
        Ok(Self { name: name.clone(), child })
    }

    /// Has it ended? A bad end is an error.
    fn has_ended(&mut self) -> Result<bool> {
        let failed = |what: &dyn std::fmt::Display| Failure::new(format!("{} {what}", self.name));
        match self.child.try_wait() {
            Ok(None) => Ok(false),
            Ok(Some(status)) if ExitStatus::success(&status) => Ok(true),
            Ok(Some(status)) => Err(failed(&format_args!("has ended: {status}"))),
            Err(error) => Err(failed(&format_args!("cannot be waited for: {error}"))),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
