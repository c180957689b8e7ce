//! One participant as the parent sees it: a child process, its control socket, its status page.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use handover::transport::Channel;
use handover::{Deadline, Stage};

use crate::participant::COMMAND;
use crate::participant::event::Event;
use crate::participant::job::Job;
use crate::participant::status::Page;

/// How long a job may take on its way to a participant that does not read.
const PATIENCE: Duration = Duration::from_secs(10);

/// A child process. Killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    control: Channel,
    page: Page,
    /// Has its control socket reached the end?
    silent: bool,
    end: Option<End>,
}

/// How a participant ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It exited with code 0.
    Well,
    /// Anything else, in words.
    Badly(String),
}

impl Process {
    /// Starts this program again as a participant.
    pub(crate) fn start(name: &str) -> Result<Self, String> {
        Self::start_with(name, &[])
    }

    /// The same, with more on its command line.
    pub(crate) fn start_with(name: &str, arguments: &[&str]) -> Result<Self, String> {
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("{name} cannot start: {what}: {error}");
        let page = Page::new().map_err(|error| failed("no status page", &error))?;
        let (control, theirs) = Channel::pair().map_err(|error| failed("no control socket", &error))?;
        let theirs = OwnedFd::from(theirs);
        let program = std::env::current_exe().map_err(|error| failed("the program cannot find itself", &error))?;
        let child = Command::new(program)
            .args([COMMAND, name])
            .args(arguments)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // Ctrl-C is for the parent alone, which then ends the others in order.
            .process_group(0)
            .spawn()
            .map_err(|error| failed("no process", &error))?;
        Ok(Self { name: name.into(), child, control, page, silent: false, end: None })
    }

    /// Sends the job and the sockets of its streams. Fails only if it is gone, which the next look at it tells.
    pub(crate) fn instruct(&self, job: &Job, sockets: &[OwnedFd]) -> Result<(), String> {
        let bytes = serde_json::to_vec(job).map_err(|error| format!("the job of {}: {error}", self.name))?;
        self.tell(&bytes, &[self.page.as_fd()])?;
        sockets.iter().try_for_each(|socket| self.tell(b"stream", &[socket.as_fd()]))
    }

    /// Sends a message. Fails only if it does not read; one that is gone is told by the next look at it.
    pub(crate) fn tell(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), String> {
        match self.control.send_bytes(bytes, descriptors, Deadline::after(PATIENCE)) {
            Err(error) if *error.kind() != handover::Kind::PeerGone => Err(format!("{}: {error}", self.name)),
            _ => Ok(()),
        }
    }

    /// Its status page, to be sent with its job.
    pub(crate) fn page(&self) -> BorrowedFd<'_> {
        self.page.as_fd()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stage and frames done, as last noted; readable after a kill too.
    pub(crate) fn status(&self) -> (Stage, u64) {
        self.page.read()
    }

    /// Asks it to come to an end. One that is gone already hears nothing.
    pub(crate) fn ask_to_stop(&self) {
        if self.end.is_none() {
            let _ = self.control.send_bytes(b"stop", &[], Deadline::now());
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if self.end.is_none() {
            // Fails only if it has ended by itself.
            let _ = self.child.kill();
        }
    }

    /// The next thing it said, if it said something.
    pub(crate) fn hear(&mut self) -> Option<Event> {
        while let Some((bytes, _)) = self.hear_bytes(0) {
            // What cannot be read is no reason to lose what comes behind it.
            if let Ok(event) = serde_json::from_slice(&bytes) {
                return Some(event);
            }
        }
        None
    }

    /// The next message as it came, with at most so many descriptors.
    pub(crate) fn hear_bytes(&mut self, descriptors: usize) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        if self.silent {
            return None;
        }
        match self.control.receive_bytes(descriptors, Deadline::now()) {
            Ok(Some(message)) => return Some(message),
            Err(error) if error.is_timeout() => {}
            Ok(None) | Err(_) => self.silent = true,
        }
        None
    }

    /// What to poll for, until it has hung up.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (!self.silent).then(|| self.control.as_fd())
    }

    /// Has it hung up, and is only its exit to come?
    pub(crate) fn is_ending(&self) -> bool {
        self.silent && self.end.is_none()
    }

    /// Collects it if it has ended; gives its end once.
    pub(crate) fn collect(&mut self) -> Option<End> {
        if self.end.is_some() || !self.silent {
            return None;
        }
        let end = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => describe(status),
            Err(error) => End::Badly(format!("cannot be waited for: {error}")),
        };
        self.end = Some(end.clone());
        Some(end)
    }

    /// Has it been collected?
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.end.is_none() {
            // On every way out: no process is left.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn describe(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(0), _) => End::Well,
        (Some(code), _) => End::Badly(format!("exited with code {code}")),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            End::Badly(format!("was killed by {name} ({signal})"))
        }
        (None, None) => End::Badly("ended".into()),
    }
}
