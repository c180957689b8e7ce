//! What sealing and read-only descriptors enforce on memfds, row by row: the facts that `writers` and `ReadOnly` of the
//! protocol stand on, asked of the kernel that runs this.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use common::{Other, errno, fork, hear, parent, reap, role, skip};
use handover_sys::file::{self, Reopen};
use handover_sys::map::{self, Mapping, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};
use handover_sys::{process, socket};
use rustix::fs::{Mode, OFlags};

const SIZE: usize = 8192;
const BYTES: u64 = SIZE as u64;

/// One row: what is done, and the errno that the kernel must answer (`None`: it works).
struct Row {
    name: &'static str,
    expected: Option<i32>,
    run: fn() -> Option<i32>,
}

fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        let found = (row.run)();
        println!("{:<84} {found:?}", row.name);
        if found != row.expected {
            wrong.push(format!("{}: expected {:?}, found {found:?}", row.name, row.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn open_memory() -> OwnedFd {
    memfd::create("sealing", BYTES).expect("memfd")
}

fn write_mapping(fd: impl AsFd) -> Mapping {
    Mapping::new(fd, SIZE, Populate::Later).expect("writable mapping")
}

/// A memfd sealed as for `writers = Me`, and the allocator's mapping, made before the seal.
fn sealed() -> (OwnedFd, Mapping) {
    let fd = open_memory();
    let mapping = write_mapping(&fd);
    memfd::add_seals(&fd, Seals::SHRINK | Seals::GROW | Seals::FUTURE_WRITE | Seals::SEAL).expect("seal");
    (fd, mapping)
}

/// Writes through `mapping` and looks for the byte through a fresh read mapping of `fd`.
fn writes_through(mapping: &Mapping, fd: impl AsFd) -> Option<i32> {
    assert!(mapping.pixels_mut(0..SIZE).expect("whole").set_u8(4097, 0xA5));
    let seen = ReadMapping::new(fd, SIZE, Populate::Later).expect("read mapping");
    (seen.pixels(0..SIZE).expect("whole").get_u8(4097) != Some(0xA5)).then_some(-1)
}

#[test]
fn after_future_write() {
    check(&[
        Row {
            name: "after FUTURE_WRITE: new writable shared mmap",
            expected: Some(libc::EPERM),
            run: || errno(Mapping::new(&sealed().0, SIZE, Populate::Later)),
        },
        Row {
            name: "after FUTURE_WRITE: new writable shared mmap of a fresh description",
            expected: Some(libc::EPERM),
            run: || {
                let fresh = file::reopen(&sealed().0, Reopen::ReadWrite).expect("reopen");
                errno(Mapping::new(fresh, SIZE, Populate::Later))
            },
        },
        Row {
            name: "after FUTURE_WRITE: pwrite",
            expected: Some(libc::EPERM),
            run: || errno(File::from(sealed().0).write_all_at(b"x", 0)),
        },
        Row {
            name: "after FUTURE_WRITE: PUNCH_HOLE",
            expected: Some(libc::EPERM),
            run: || errno(file::punch_hole(&sealed().0, 0, 4096)),
        },
        Row {
            name: "after FUTURE_WRITE: MADV_REMOVE through the old mapping",
            expected: Some(libc::EPERM),
            run: || errno(map::remove_pages(&sealed().1)),
        },
        Row {
            name: "after FUTURE_WRITE: O_TRUNC",
            expected: Some(libc::EPERM),
            run: || {
                let (fd, _mapping) = sealed();
                let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
                errno(File::options().write(true).truncate(true).open(path))
            },
        },
        Row {
            name: "after FUTURE_WRITE: old mapping still works",
            expected: None,
            run: || {
                let (fd, mapping) = sealed();
                writes_through(&mapping, fd)
            },
        },
        Row {
            name: "after FUTURE_WRITE: mremap copy of the old mapping still works",
            expected: None,
            run: || {
                let (fd, mapping) = sealed();
                let copy = map::alias(&mapping).expect("mremap");
                drop(mapping);
                writes_through(&copy, fd)
            },
        },
        Row {
            name: "after FUTURE_WRITE: fork writes through the inherited mapping",
            expected: None,
            run: || {
                let (_fd, mapping) = sealed();
                let pixels = mapping.pixels_mut(0..SIZE).expect("whole");
                let status = reap(fork(|| i32::from(!pixels.set_u8(9, 7))));
                (status != 0 || pixels.get_u8(9) != Some(7)).then_some(-1)
            },
        },
        Row {
            name: "after FUTURE_WRITE: mprotect R and back to RW of the old mapping",
            expected: None,
            run: || {
                let (fd, mapping) = sealed();
                match map::give_up_and_regain(mapping) {
                    Ok(mapping) => writes_through(&mapping, fd),
                    Err(error) => error.raw_os_error(),
                }
            },
        },
        Row {
            name: "a read mapping made before the seal can be mprotected to WRITE",
            expected: None,
            run: || {
                let fd = open_memory();
                let mapping = ReadMapping::new(&fd, SIZE, Populate::Later).expect("read mapping");
                memfd::add_seals(&fd, Seals::FUTURE_WRITE).expect("seal");
                errno(map::try_upgrade(&mapping))
            },
        },
        Row {
            name: "a mapping made after the seal can be mprotected to WRITE",
            expected: Some(libc::EACCES),
            run: || {
                let mapping = ReadMapping::new(&sealed().0, SIZE, Populate::Later).expect("read mapping");
                errno(map::try_upgrade(&mapping))
            },
        },
        Row {
            name: "a mapping of an O_RDONLY descriptor can be mprotected to WRITE",
            expected: Some(libc::EACCES),
            run: || {
                let readable = file::reopen(open_memory(), Reopen::ReadOnly).expect("reopen");
                let mapping = ReadMapping::new(&readable, SIZE, Populate::Later).expect("read mapping");
                errno(map::try_upgrade(&mapping))
            },
        },
    ]);
}

#[test]
fn without_seal_seal() {
    check(&[
        Row {
            name: "without F_SEAL_SEAL a receiver adds FUTURE_WRITE",
            expected: None,
            run: || {
                let fd = open_memory();
                memfd::add_seals(&fd, Seals::SHRINK | Seals::GROW).expect("seal");
                errno(memfd::add_seals(&fd, Seals::FUTURE_WRITE))
            },
        },
        Row {
            name: "without F_SEAL_SEAL: the next honest writer",
            expected: Some(libc::EPERM),
            run: || {
                let fd = open_memory();
                memfd::add_seals(&fd, Seals::FUTURE_WRITE).expect("seal");
                errno(Mapping::new(&fd, SIZE, Populate::Later))
            },
        },
        Row {
            name: "with F_SEAL_SEAL a receiver adds FUTURE_WRITE",
            expected: Some(libc::EPERM),
            run: || {
                let fd = open_memory();
                memfd::add_seals(&fd, Seals::SHRINK | Seals::GROW | Seals::SEAL).expect("seal");
                errno(memfd::add_seals(&fd, Seals::FUTURE_WRITE))
            },
        },
        Row {
            name: "F_SEAL_WRITE while a writable mapping exists",
            expected: Some(libc::EBUSY),
            run: || {
                let fd = open_memory();
                let _mapping = write_mapping(&fd);
                errno(memfd::add_seals(&fd, Seals::WRITE))
            },
        },
        Row {
            name: "a receiver punches a hole in an unsealed memfd: the victim sees zeros, no SIGBUS",
            expected: None,
            run: || {
                let fd = open_memory();
                let mapping = write_mapping(&fd);
                let pixels = mapping.pixels_mut(0..SIZE).expect("whole");
                assert!(pixels.fill(0, SIZE, 7));
                file::punch_hole(&fd, 0, BYTES).expect("hole");
                (pixels.get_u8(100) != Some(0)).then_some(-1)
            },
        },
        Row {
            name: "MADV_REMOVE on an unsealed memfd: zeros for every holder",
            expected: None,
            run: || {
                let fd = open_memory();
                let mapping = write_mapping(&fd);
                let pixels = mapping.pixels_mut(0..SIZE).expect("whole");
                assert!(pixels.fill(0, SIZE, 7));
                map::remove_pages(&mapping).expect("MADV_REMOVE");
                (pixels.get_u8(100) != Some(0)).then_some(-1)
            },
        },
        Row {
            name: "SHRINK: a shorter file",
            expected: Some(libc::EPERM),
            run: || errno(File::from(sealed().0).set_len(0)),
        },
        Row {
            name: "GROW: a longer file",
            expected: Some(libc::EPERM),
            run: || errno(File::from(sealed().0).set_len(2 * BYTES)),
        },
        Row {
            name: "adding a seal through an O_RDONLY descriptor",
            expected: Some(libc::EPERM),
            run: || {
                let readable = file::reopen(open_memory(), Reopen::ReadOnly).expect("reopen");
                errno(memfd::add_seals(readable, Seals::GROW))
            },
        },
    ]);
}

#[test]
fn what_is_a_memfd() {
    // NOEXEC_SEAL of `create` adds F_SEAL_EXEC, which must neither show nor stand in the way.
    let fd = open_memory();
    assert_eq!(memfd::seals(&fd).expect("seals"), Seals::empty());
    let all = Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::FUTURE_WRITE | Seals::SEAL;
    memfd::add_seals(&fd, all).expect("every seal after NOEXEC_SEAL");
    assert_eq!(memfd::seals(&fd).expect("seals"), all);
    assert_eq!(file::size(&fd).expect("size"), BYTES);

    let (pipe, _writer) = std::io::pipe().expect("pipe");
    let (socket, _other) = socket::pair().expect("socket");
    for (name, stranger) in [("pipe", pipe.into()), ("socket", socket)] as [(&str, OwnedFd); 2] {
        assert_eq!(errno(memfd::seals(&stranger)), Some(libc::EINVAL), "{name}");
    }
    let root = File::open("/proc").expect("/proc");
    assert_eq!(errno(memfd::seals(&root)), Some(libc::EINVAL), "directory of another file system");

    // A plain file of a tmpfs answers as well, and is told apart by the seals it lacks.
    match rustix::fs::open("/dev/shm", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        Ok(plain) => assert_eq!(memfd::seals(&plain).expect("seals of a tmpfs file"), Seals::SEAL),
        Err(error) => skip("tmpfs", &format!("/dev/shm: {error}")),
    }

    assert_eq!(errno(memfd::create("with\0nul", 1)), Some(libc::EINVAL));
    assert_eq!(errno(memfd::create(&"x".repeat(250), 1)), Some(libc::EINVAL));
}

#[test]
fn read_only_descriptor_same_user() {
    // Root passes every mode, which would show nothing: another user does it, where we may become one.
    let user = (process::own_uid() == 0).then_some(1000);
    match Other::start("same-user", user) {
        Ok(child) => assert_eq!(child.hear(), "works [], after fchmod works []"),
        Err(error) => skip("other-user", &format!("this test binary as user {user:?}: {error}")),
    }
}

#[test]
fn read_only_descriptor_other_user() {
    if process::own_uid() != 0 {
        return skip("root", "only root can start a process as another user");
    }
    for (mode, expected) in [(Mode::empty(), "[13]"), (Mode::from_raw_mode(0o666), "[]")] {
        let fd = open_memory();
        let readable = file::reopen(&fd, Reopen::ReadOnly).expect("reopen");
        rustix::fs::fchmod(&fd, mode).expect("fchmod");
        let child = match Other::start("other-user", Some(1001)) {
            Ok(child) => child,
            Err(error) => return skip("other-user", &format!("this test binary as user 1001: {error}")),
        };
        child.tell("try", &[readable.as_fd()]);
        assert_eq!(child.hear(), expected, "other user, mode {mode:?}: reopen RDWR");
    }
}

fn show(result: std::io::Result<OwnedFd>) -> String {
    format!("{:?}", errno(result).as_slice())
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let parent = parent();
    let answer = match role.as_str() {
        "same-user" => {
            let fd = open_memory();
            let readable = file::reopen(&fd, Reopen::ReadOnly).expect("reopen");
            assert!(!file::is_writable(&readable).expect("mode"));
            let first = show(file::reopen(&readable, Reopen::ReadWrite));
            rustix::fs::fchmod(&fd, Mode::empty()).expect("fchmod by the producer");
            rustix::fs::fchmod(&readable, Mode::RUSR | Mode::WUSR).expect("fchmod by the receiver");
            let second = show(file::reopen(&readable, Reopen::ReadWrite));
            format!("works {first}, after fchmod works {second}")
        }
        _ => {
            let (_, descriptors) = hear(parent.as_fd());
            show(file::reopen(&descriptors[0], Reopen::ReadWrite))
        }
    };
    socket::send(&parent, answer.as_bytes(), &[], false).expect("answer");
}
