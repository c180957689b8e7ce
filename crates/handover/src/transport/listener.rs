//! A listener: a socket file in a directory that only our user can enter. Both go when it is dropped.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use handover_model::Stage;
use handover_sys::poll::wait_readable;
use handover_sys::socket;

use super::{Channel, Trust};
use crate::deadline::Deadline;
use crate::error::{Blocked, Error, Kind, Result, os};

/// Accepts channels from processes that are not our children.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    trust: Trust,
    path: PathBuf,
}

impl Listener {
    /// Listens in a new directory below `$XDG_RUNTIME_DIR`, or below the temporary directory, with mode 0700.
    pub fn new(trust: Trust) -> Result<Self> {
        let stage = Stage::Export;
        let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let directory = private_directory(&base)?;
        let path = directory.join("socket");
        match socket::listen(&path) {
            Ok(socket) => Ok(Self { socket, trust, path }),
            Err(error) => {
                // Nothing of ours may be left behind; the first error is the one to tell.
                let _ = std::fs::remove_dir(&directory);
                Err(os(stage, format!("listen at {}", path.display()))(error))
            }
        }
    }

    /// Where to [`Channel::connect`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next peer.
    ///
    /// # Errors
    /// [`Kind::Timeout`]; [`Kind::Untrusted`]: somebody of another user came, and is gone again.
    pub fn accept(&self, deadline: Deadline) -> Result<Channel> {
        if !wait_readable(&self.socket, deadline.at()).map_err(os(Stage::Import, "wait for a peer"))? {
            return Err(Error::new(Stage::Import, Kind::Timeout(Blocked::default()))
                .asked(format!("a peer at {}", self.path.display()))
                .found("none before the deadline"));
        }
        let socket = socket::accept(&self.socket).map_err(os(Stage::Import, "accept a peer"))?;
        Channel::from_fd(socket, self.trust)
    }
}

/// A new directory with a name that nobody can guess; an existing one is never used, whoever made it.
fn private_directory(base: &Path) -> Result<PathBuf> {
    use std::hash::{BuildHasher, RandomState};
    for _ in 0..16 {
        let directory = base.join(format!("handover-{:016x}", RandomState::new().hash_one(std::process::id())));
        match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(os(Stage::Export, format!("make the directory {}", directory.display()))(error)),
        }
    }
    Err(Error::new(Stage::Export, Kind::Os).asked(format!("a new directory in {}", base.display())))
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Somebody may have cleaned up before us.
        let _ = std::fs::remove_file(&self.path);
        if let Some(directory) = self.path.parent() {
            let _ = std::fs::remove_dir(directory);
        }
    }
}
