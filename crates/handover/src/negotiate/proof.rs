//! Proof: an agreement tried at its real size, with real memory, by every party, before anybody relies on it.
//!
//! # Contract
//!
//! - An agreement is [`Proven`] only after one source of memory has allocated it, every party has imported it, and each has
//!   done one access of the kind it will do. All hold it at the same time.
//! - A party tries in a process of its own, with a deadline: a driver may say yes to an import and crash at the first access,
//!   or never come back. Whatever happens to that process, its answer is a [`Conflict`] and nothing of ours is lost.
//! - Sources are tried in the caller's order. Each that did not do is in [`Proven::refused`], with the party and its reason.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use handover_model::{Access, ExportFlags, Stage};
use handover_sys::poll;
use handover_sys::process::Pidfd;

use super::{Agreement, Conflict};
use crate::backend::Backend;
use crate::deadline::Deadline;
use crate::device::Device;
use crate::error::{Error, Kind, Result, os};
use crate::handle::Handle;
use crate::surface::Surface;
use crate::transport::{Channel, Trust};
use crate::{Options, allocate, export, import};

/// Somebody who will use the surface, and the program that tries it for them.
#[derive(Debug)]
pub struct Party {
    /// Name, for conflicts.
    pub name: String,
    /// What it will do.
    pub access: Access,
    /// A program that calls [`answer`]. It is started anew for each source of memory, with a socket as its standard input.
    pub command: Command,
}

/// An agreement that was tried.
#[derive(Debug)]
pub struct Proven {
    /// What was agreed on.
    pub agreement: Agreement,
    /// The source of memory that does for everybody.
    pub backend: Arc<dyn Backend>,
    /// Those before it in the caller's order that did not, each with who could not use it and why.
    pub refused: Vec<Refused>,
}

/// A source of memory that somebody could not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub backend: String,
    /// Whose and why. The field is "memory".
    pub conflict: Conflict,
}

/// Tries an agreement with each source in turn, until one does for all parties.
///
/// `device`: whose layouts the producer makes. `options`: those of the allocation to come, but for the backend: who may write decides
/// how a source exports. `patience`: how long the parties have for one source.
///
/// # Errors
/// [`Kind::Conflict`]: none did; the error tells every source's conflict. [`Kind::Os`]: a party's program cannot be started.
///
/// ```no_run
/// use std::process::Command;
/// use std::sync::Arc;
/// use std::time::Duration;
/// use handover::backend::linux::{Card, Dumb, Udmabuf};
/// use handover::negotiate::{Party, prove};
/// use handover::{Access, Backend, Device, Extent, Format, Options, SurfaceUsages, negotiate};
///
/// let offer = |party, usages| Device::PLAIN.offer(party, &[Format::XRGB8888], usages);
/// let offers = [offer("compositor", SurfaceUsages::WRITE), offer("screen", SurfaceUsages::READ)];
/// let agreement = negotiate(Extent::new(1920, 1080)?, &offers)?;
/// let sources: Vec<Arc<dyn Backend>> =
///     vec![Arc::new(Udmabuf::open()?), Arc::new(Dumb::of(Card::open("/dev/dri/card0")?))];
/// let screen = Party { name: "screen".into(), access: Access::Read, command: Command::new("/usr/lib/my/try-screen") };
/// let options = Options::default();
/// let proven = prove(Device::PLAIN, &agreement, &options, &sources, &mut [screen], Duration::from_secs(5))?;
/// for refused in &proven.refused {
///     println!("{}: {}", refused.backend, refused.conflict);
/// }
/// # Ok::<(), handover::Error>(())
/// ```
pub fn prove(
    device: Device,
    agreement: &Agreement,
    options: &Options,
    backends: &[Arc<dyn Backend>],
    parties: &mut [Party],
    patience: Duration,
) -> Result<Proven> {
    device.check_alive(Stage::Negotiate)?;
    let mut refused = Vec::new();
    for backend in backends {
        let conflict = match try_source(
            device,
            agreement,
            &Options { backend: Arc::clone(backend), ..options.clone() },
            parties,
            patience,
        )? {
            None => return Ok(Proven { agreement: agreement.clone(), backend: Arc::clone(backend), refused }),
            Some(conflict) => conflict,
        };
        refused.push(Refused { backend: backend.name(), conflict });
    }
    let all: Vec<String> = refused.iter().map(|refused| refused.conflict.to_string()).collect();
    match refused.into_iter().next() {
        Some(first) => Err(Error::new(Stage::Negotiate, Kind::Conflict(first.conflict))
            .asked(format!("memory for {agreement} that {} parties can use", parties.len()))
            .found(all.join("; "))
            .help("another source of memory, or fewer parties in one surface")),
        None => Err(Error::new(Stage::Negotiate, Kind::Invalid)
            .asked(format!("a proof of {agreement}"))
            .why("there is no source of memory to try")),
    }
}

/// `None`: everybody could use it.
fn try_source(
    device: Device,
    agreement: &Agreement,
    options: &Options,
    parties: &mut [Party],
    patience: Duration,
) -> Result<Option<Conflict>> {
    let conflict = |party: &str, what: String| Conflict {
        field: "memory",
        left: (options.backend.name(), format!("{agreement}")),
        right: (party.to_owned(), what),
    };
    let surface = match allocate(device, agreement, options).map(|mut surfaces| surfaces.pop()) {
        Ok(Some(surface)) => surface,
        Ok(None) => return Err(Error::new(Stage::Negotiate, Kind::Unreachable)),
        Err(error) => return Ok(Some(conflict("its allocator", error.to_string()))),
    };
    let deadline = Deadline::after(patience);
    let mut trials = Vec::new();
    for party in parties {
        trials.push(Trial::start(party, &surface, deadline)?);
    }
    // Everybody is asked before anybody may go, so that all hold the surface at once.
    let mut first = None;
    for trial in &mut trials {
        if let Err(what) = trial.hear(deadline)
            && first.is_none()
        {
            first = Some(conflict(&trial.name, what));
        }
    }
    Ok(first)
}

/// One party's process.
struct Trial {
    name: String,
    child: Child,
    /// `Err`: why it could not even be given the surface.
    channel: std::result::Result<Channel, String>,
}

impl Trial {
    fn start(party: &mut Party, surface: &Surface, deadline: Deadline) -> Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let child = party
            .command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(os(Stage::Negotiate, format!("start the program that tries for {}", party.name)))?;
        // The command keeps a copy of the child's end, which would keep us from seeing that the child is gone.
        party.command.stdin(Stdio::null());
        let ours = ours.with_peer_name(party.name.clone());
        let mut trial = Self { name: party.name.clone(), child, channel: Ok(ours) };
        let flags = match party.access {
            Access::Read => ExportFlags::READ,
            Access::Write => ExportFlags::READ | ExportFlags::WRITE,
        };
        let handle = export(surface, flags, deadline).map_err(|error| error.at(Stage::Negotiate))?.handle;
        if let Ok(channel) = &trial.channel
            && let Err(error) = channel.send_handle(handle, deadline)
        {
            trial.channel = Err(error.to_string());
        }
        Ok(trial)
    }

    /// The answer; `Err` says what it could not do.
    fn hear(&mut self, deadline: Deadline) -> std::result::Result<(), String> {
        let answer = match &self.channel {
            Ok(channel) => channel.receive_bytes(0, deadline),
            Err(_) => Ok(None),
        };
        match answer {
            Ok(Some((bytes, _))) => match bytes.split_first() {
                Some((&YES, _)) => Ok(()),
                Some((&NO, why)) => Err(String::from_utf8_lossy(why).into_owned()),
                _ => Err("an answer that means nothing".into()),
            },
            // Closed, or reset: how it ended says more.
            Ok(None) => Err(self.ending(deadline)),
            Err(error) if error.is_timeout() => Err("no answer before the deadline; it was killed".into()),
            Err(_) => Err(self.ending(deadline)),
        }
    }

    fn ending(&mut self, deadline: Deadline) -> String {
        match wait(&mut self.child, deadline) {
            Some(status) => format!("its process ended without an answer: {status}"),
            None => "its process closed the socket without an answer".into(),
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // Closing our end lets an honest child go; the others are killed.
        self.channel = Err(String::new());
        if wait(&mut self.child, Deadline::after(GRACE)).is_none() {
            // Fails harmlessly where it has ended meanwhile.
            let _ = self.child.kill();
            // A process stuck inside a driver does not die; it is left to whoever reaps us.
            wait(&mut self.child, Deadline::after(GRACE));
        }
    }
}

/// How long a party's process may take to end.
const GRACE: Duration = Duration::from_secs(1);

fn wait(child: &mut Child, deadline: Deadline) -> Option<ExitStatus> {
    if let Ok(process) = Pidfd::open(child.id()) {
        // Readable when it has ended; without an answer the look below decides.
        let _ = poll::wait_readable(process.as_fd(), deadline.at());
    }
    child.try_wait().ok().flatten()
}

const YES: u8 = 0;
const NO: u8 = 1;

/// The other side of [`prove`]: imports the surface that comes over standard input, lets `trial` use it as the party will, and
/// tells the result. Returns when the one who asked has heard everybody.
///
/// # Errors
/// Standard input is no socket of [`prove`]'s. What the trial refuses is told to the one who asked, and is no error here.
pub fn answer(device: Device, trial: impl FnOnce(&Surface) -> Result<()>) -> Result<()> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let channel = Channel::from_fd(socket.map_err(os(Stage::Negotiate, "duplicate standard input"))?, Trust::SameUser)?;
    let Some((message, descriptors)) = channel.receive(Deadline::Never)? else { return Ok(()) };
    let surface = Handle::from_message(message, descriptors).and_then(|handle| import(handle, device));
    let tried = surface.and_then(|surface| trial(&surface).map(|()| surface));
    let answer = match &tried {
        Ok(_) => vec![YES],
        Err(error) => {
            let mut text = vec![NO];
            text.extend_from_slice(error.to_string().as_bytes());
            text
        }
    };
    match channel.send_bytes(&answer, &[], Deadline::Never) {
        // Held until the other end closes.
        Ok(()) => while channel.receive_bytes(0, Deadline::Never)?.is_some() {},
        // Who asked has heard enough from the others.
        Err(error) if *error.kind() == Kind::PeerGone => {}
        Err(error) => return Err(error),
    }
    drop(tried);
    Ok(())
}
