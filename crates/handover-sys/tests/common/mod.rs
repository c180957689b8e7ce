//! Help for the tests: a second process (this test binary again, in a role), a fork, and skips that show.
#![allow(unsafe_code)]
// Each test binary uses a part of this.
#![allow(dead_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use handover_sys::clock::Monotonic;
use handover_sys::{poll, process, socket};

const ROLE: &str = "HANDOVER_SYS_TEST_ROLE";

/// Long enough to mean "never": no test passes by waiting for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A deadline of [`PATIENCE`] from now.
pub(crate) fn soon() -> Option<Monotonic> {
    Monotonic::now().checked_add(PATIENCE)
}

/// A process in a role, and our end of the socket to it. Dropping it kills and reaps.
pub(crate) struct Other {
    pub(crate) socket: Option<OwnedFd>,
    child: Child,
}

impl Other {
    /// Starts this binary again; its test `child_process` takes the role. `user`: run as that user.
    pub(crate) fn start(role: &str, user: Option<u32>) -> io::Result<Self> {
        let (ours, theirs) = socket::pair()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--exact", "child_process", "--nocapture"]).env(ROLE, role);
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let child = command.spawn()?;
        Ok(Self { socket: Some(ours), child })
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_ref().expect("the socket is open until it is taken").as_fd()
    }

    pub(crate) fn tell(&self, text: &str, descriptors: &[BorrowedFd<'_>]) {
        socket::send(self.socket(), text.as_bytes(), descriptors, false).expect("send to the child");
    }

    pub(crate) fn hear(&self) -> String {
        hear(self.socket()).0
    }

    pub(crate) fn pidfd(&self) -> process::Pidfd {
        process::Pidfd::open(self.child.id()).expect("pidfd of the child")
    }

    pub(crate) fn kill_and_reap(&mut self) {
        process::kill(&self.pidfd(), process::Signal::Kill).expect("kill the child");
        self.child.wait().expect("reap the child");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Both fail harmlessly where the child has been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role of this process, where it is a child.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// The socket of a child to its parent: its standard input.
pub(crate) fn parent() -> OwnedFd {
    std::io::stdin().as_fd().try_clone_to_owned().expect("duplicate of standard input")
}

/// One message and its descriptors, or a panic after [`PATIENCE`].
pub(crate) fn hear(socket: BorrowedFd<'_>) -> (String, Vec<OwnedFd>) {
    assert!(poll::wait_readable(socket, soon()).expect("poll"), "no message in {PATIENCE:?}");
    let mut buffer = [0; 256];
    let message = socket::receive(socket, &mut buffer, socket::RECEIVE_MAX).expect("receive");
    assert!(message.len > 0, "the other process ended early");
    assert!(!message.truncated && !message.descriptors_truncated);
    (String::from_utf8_lossy(&buffer[..message.len]).into_owned(), message.descriptors)
}

/// Stays until the parent closes its socket or kills us.
pub(crate) fn stay(socket: BorrowedFd<'_>) {
    let mut buffer = [0; 1];
    while socket::receive(socket, &mut buffer, 0).is_ok_and(|message| message.len > 0) {}
}

/// Forks without exec; the child runs `work`, touches nothing else, and ends with the status it gives.
pub(crate) fn fork(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: fork(2) in a process with threads: the child may make system calls only, which is what the callers' `work`
    // does, and it leaves by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
    if pid == 0 {
        let status = work();
        // SAFETY: _exit(2) runs no destructor and does not return.
        unsafe { libc::_exit(status) }
    }
    pid
}

/// Waits for a child of [`fork`] and gives its exit status; -1 for any other end.
pub(crate) fn reap(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: waitpid(2) writes one int, which is borrowed for the call.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if reaped == pid && libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 }
}

/// Asks `condition` until it holds; a panic after [`PATIENCE`].
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = soon();
    while !condition() {
        assert!(Some(Monotonic::now()) < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Shows that a check was left out and why. Fails instead where `HANDOVER_REQUIRE` names `need` or says `all`.
pub(crate) fn skip(need: &str, why: &str) {
    let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == need || name == "all"), "{need} is required: {why}");
    // Not by eprintln: of a test that passes, the harness keeps that to itself.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: needs {need}: {why}\n"));
}

/// The errno of a refusal, or `None` for success.
pub(crate) fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().map(|error| error.raw_os_error().unwrap_or(-1))
}
