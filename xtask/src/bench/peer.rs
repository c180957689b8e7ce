//! The other process of a bench: this program again in a role, at the other end of a socket that is its standard input.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use handover_sys::process::Pidfd;
use handover_sys::{poll, socket};

use super::{Result, calls, life, machine, wake};

/// What `bench` is called with to play a role; not for people.
pub(super) const ROLE_FLAG: &str = "--as";

/// Longest message between the two processes: the stamps of one turn.
const LONGEST: usize = 64 * 1024;

/// The other process, and our end of the socket to it. Dropping it kills and reaps.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) link: Link,
    child: Child,
    /// From here on its end is no surprise.
    dismissed: Arc<AtomicBool>,
}

/// One end of the socket between the two.
#[derive(Debug)]
pub(super) struct Link(OwnedFd);

impl Peer {
    /// Starts this program in a role, on one CPU.
    pub(super) fn start(role: &str, cpu: usize) -> Result<Self> {
        let (ours, theirs) = socket::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["bench", ROLE_FLAG, role, &cpu.to_string()])
            .stdin(Stdio::from(theirs))
            .spawn()?;
        let dismissed = Arc::new(AtomicBool::new(false));
        let peer = Self { link: Link(ours), child, dismissed };
        peer.guard()?;
        Ok(peer)
    }

    /// The raw floors wait without a deadline, as raw code does: a peer that crashed would leave us waiting for ever.
    fn guard(&self) -> Result<()> {
        let process = Pidfd::open(self.child.id())?;
        let dismissed = Arc::clone(&self.dismissed);
        std::thread::Builder::new().name("bench-guard".into()).spawn(move || {
            let ended = poll::wait_readable(&process, None);
            if ended.is_ok() && !dismissed.load(Ordering::SeqCst) {
                eprintln!("xtask bench: the other process ended early");
                std::process::exit(1);
            }
        })?;
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.dismissed.store(true, Ordering::SeqCst);
        // Both fail harmlessly where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Link {
    pub(super) fn tell(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        Ok(socket::send(&self.0, bytes, descriptors, false)?)
    }

    /// One message with its descriptors; `None` once the other end is closed.
    pub(super) fn hear(&self) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; LONGEST];
        let received = socket::receive(&self.0, &mut bytes, socket::RECEIVE_MAX)?;
        if received.truncated || received.descriptors_truncated {
            return Err("a message between the two processes was cut short".into());
        }
        bytes.truncate(received.len);
        Ok((received.len > 0).then_some((bytes, received.descriptors)))
    }

    /// As [`hear`](Self::hear), where the other end must not be closed yet.
    pub(super) fn expect(&self) -> Result<(Vec<u8>, Vec<OwnedFd>)> {
        self.hear()?.ok_or_else(|| "the other process closed its socket".into())
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Plays a role until the other end of the socket is closed.
pub(super) fn play(role: &str, arguments: &[String]) -> Result<()> {
    if role == calls::ROLE {
        return calls::play(arguments);
    }
    let cpu = arguments.first().ok_or("a role needs a CPU")?.parse()?;
    let _pinned = machine::pin(cpu)?;
    let link = Link(std::io::stdin().as_fd().try_clone_to_owned()?);
    match role {
        wake::ROLE => wake::play(&link),
        life::ROLE => life::play(&link),
        _ => Err(format!("there is no role `{role}`").into()),
    }
}

/// Numbers as the bytes of a message.
pub(super) fn to_bytes(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// The numbers of a message.
pub(super) fn to_numbers(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks().0.iter().map(|&chunk| u64::from_ne_bytes(chunk)).collect()
}
