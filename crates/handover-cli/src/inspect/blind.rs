//! What a look could not see, why, and what would help.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;

use super::look::Look;

/// Something that may be there and was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
    /// What would help. Empty: nothing.
    pub help: String,
}

impl Unseen {
    fn new(what: impl Into<String>, why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), help: help.into() }
    }
}

const AS_ROOT: &str = "run it as root: sudo handover inspect";

/// All of it, for one look. `undescribed`: buffers whose metadata nobody let us read.
pub(super) fn unseen(look: &Look, has_dma_bufs: bool, undescribed: u64) -> Vec<Unseen> {
    let mut all = Vec::new();
    for (why, count) in &look.unread {
        let help = if why == "permission denied" { AS_ROOT } else { "" };
        let they = if *count == 1 { "it belongs" } else { "they belong" };
        let whose =
            if help.is_empty() { String::new() } else { format!("; {they} to other users, or must not be traced") };
        all.push(Unseen::new(counted(*count, "process", "processes"), format!("{why}{whose}"), help));
    }
    for pid in &look.cut {
        let why = "it has more descriptors or mappings than are looked at";
        all.push(Unseen::new(format!("part of process {pid}"), why, ""));
    }
    if hides_processes(&fs::read_to_string("/proc/self/mounts").unwrap_or_default()) {
        all.push(Unseen::new("processes of other users", "/proc is mounted with hidepid", AS_ROOT));
    }
    if !sees_all_processes() {
        let help = "run it on the host";
        all.push(Unseen::new("processes outside this container", "it has a PID namespace of its own", help));
    }
    if undescribed > 0 {
        let why = "their holders may be looked at, but their descriptors not be used (pidfd_getfd)";
        let help = "run it as root, or lower kernel.yama.ptrace_scope";
        all.push(Unseen::new(format!("metadata of {}", counted(undescribed, "buffer", "buffers")), why, help));
    }
    all.extend(list(look, has_dma_bufs));
    all
}

/// What the kernel's own list would have told.
fn list(look: &Look, has_dma_bufs: bool) -> Option<Unseen> {
    let error = look.no_list.as_ref()?;
    if !has_dma_bufs && !has_makers() {
        return Some(Unseen::new(
            "dma-bufs",
            "nothing here makes any: there is no /dev/udmabuf, /dev/dma_heap, /dev/dri or /dev/video*",
            "handover devices says what would",
        ));
    }
    let (why, help) = match error.kind() {
        ErrorKind::PermissionDenied => ("only root may read /sys/kernel/debug/dma_buf/bufinfo".to_owned(), AS_ROOT),
        ErrorKind::NotFound if !Path::new("/sys/kernel/debug/tracing").exists() => {
            ("debugfs is not mounted, or this kernel has none".to_owned(), "mount -t debugfs debugfs /sys/kernel/debug")
        }
        ErrorKind::NotFound => ("this kernel has no /sys/kernel/debug/dma_buf/bufinfo".to_owned(), ""),
        _ => (format!("/sys/kernel/debug/dma_buf/bufinfo: {error}"), ""),
    };
    Some(Unseen::new("pending fences, and dma-bufs that only the kernel holds", why, help))
}

fn has_makers() -> bool {
    let video = || fs::read_dir("/dev").into_iter().flatten().flatten();
    ["/dev/udmabuf", "/dev/dma_heap", "/dev/dri"].iter().any(|path| Path::new(path).exists())
        || video().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"video"))
}

/// Do these mounts hide the processes of others? Root sees them all the same.
fn hides_processes(mounts: &str) -> bool {
    let options = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next() == Some("/proc") && fields.next() == Some("proc")).then(|| fields.next()).flatten()
    });
    let mut hidden =
        options.flat_map(|options| options.split(',')).filter_map(|option| option.strip_prefix("hidepid="));
    hidden.next_back().is_some_and(|how| !matches!(how, "0" | "off")) && !rustix::process::geteuid().is_root()
}

/// The first PID namespace has a fixed inode (`PROC_PID_INIT_INO` of `include/linux/proc_ns.h`).
fn sees_all_processes() -> bool {
    let name = fs::read_link("/proc/self/ns/pid");
    name.is_ok_and(|name| name.as_os_str() == "pid:[4026531836]")
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::{hides_processes, list};
    use crate::inspect::look::Look;
    use std::io;

    #[test]
    fn only_proc_itself_hides_processes() {
        assert!(!hides_processes("proc /proc proc rw,relatime 0 0\n"));
        assert!(!hides_processes("proc /proc proc rw,hidepid=off 0 0\n"));
        assert!(!hides_processes("proc /other proc rw,hidepid=2 0 0\nnonsense\n\n"));
        let hidden = hides_processes("proc /proc proc rw,relatime,hidepid=invisible 0 0\n");
        assert_eq!(hidden, !rustix::process::geteuid().is_root());
    }

    #[test]
    fn a_list_that_may_not_be_read_is_told_with_what_would_help() {
        let no_list = Some(io::Error::from(io::ErrorKind::PermissionDenied));
        let unseen = list(&Look { no_list, ..Look::default() }, true).unwrap();
        assert!(unseen.why.contains("only root") && unseen.help.contains("sudo"), "{unseen:?}");
        assert_eq!(list(&Look::default(), true), None);
    }
}
