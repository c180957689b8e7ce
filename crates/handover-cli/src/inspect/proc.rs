//! Texts of `/proc` (`Documentation/filesystems/proc.rst`), read without trust: pure functions.

use super::{Key, Kind};

/// What a descriptor's `fdinfo` says. The lines from `size` on are those of a dma-buf (`drivers/dma-buf/dma-buf.c`,
/// `dma_buf_show_fdinfo`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FdInfo {
    /// Inode; since Linux 5.14.
    pub(super) inode: Option<u64>,
    /// Bytes of the buffer.
    pub(super) size: Option<u64>,
    /// References to the buffer's file, without the one that reading this takes.
    pub(super) count: Option<u64>,
    /// Who made it.
    pub(super) exporter: Option<String>,
    /// What somebody called it.
    pub(super) name: Option<String>,
}

impl FdInfo {
    /// Of each key the first line counts: a name may hold a newline, and comes last.
    pub(super) fn parse(text: &str) -> Self {
        let field = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(found, _)| *found == key).map(|(_, value)| value.trim())
        };
        let number = |key: &str| field(key).and_then(|value| value.parse().ok());
        let word = |key: &str| field(key).filter(|value| !value.is_empty()).map(str::to_owned);
        Self {
            inode: number("ino"),
            size: number("size"),
            count: number("count"),
            exporter: word("exp_name"),
            name: word("name"),
        }
    }
}

/// What kind of buffer a path belongs to, as links below `/proc/PID/fd` and lines of `maps` show it.
pub(super) fn kind_of(path: &str) -> Option<Kind> {
    if path.starts_with("/dmabuf:") {
        return Some(Kind::DmaBuf);
    }
    match path.strip_prefix("/memfd:")?.strip_suffix(" (deleted)")? {
        "handover-pixels" => Some(Kind::Pixels),
        "handover-control" => Some(Kind::Control),
        _ => None,
    }
}

/// One line of `maps` that maps a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MapsLine {
    pub(super) key: Key,
    pub(super) bytes: u64,
    /// Where in the buffer the mapping ends.
    pub(super) end: u64,
    pub(super) writable: bool,
    /// The part of a dma-buf's path behind the colon.
    pub(super) name: Option<String>,
    /// The name of the mapping below `map_files`.
    pub(super) range: String,
}

impl MapsLine {
    /// `None`: a line of anything else.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut word = || {
            let (word, tail) = rest.trim_start().split_once(' ')?;
            rest = tail;
            Some(word)
        };
        let (range, permissions, offset, _device, inode) = (word()?, word()?, word()?, word()?, word()?);
        let path = rest.trim_start();
        let kind = kind_of(path)?;
        let (start, end) = range.split_once('-')?;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let bytes = hex(end)?.checked_sub(hex(start)?)?;
        Some(Self {
            key: Key { kind, inode: inode.parse().ok()? },
            bytes,
            end: hex(offset)?.checked_add(bytes)?,
            writable: permissions.as_bytes().get(1) == Some(&b'w'),
            name: path.strip_prefix("/dmabuf:").filter(|name| !name.is_empty()).map(str::to_owned),
            range: format!("{:x}-{:x}", hex(start)?, hex(end)?),
        })
    }
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// A thread of the kernel: it has no descriptors.
    pub(super) is_kernel: bool,
    /// Clock ticks from boot to its start: with the number it names one process for ever.
    pub(super) start: u64,
}

impl Stat {
    pub(super) fn parse(text: &str) -> Option<Self> {
        /// `PF_KTHREAD` of `include/linux/sched.h`.
        const KERNEL: u64 = 0x0020_0000;
        // The name in parentheses may hold anything; the fields behind it are counted from the third.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let flags: u64 = fields.nth(9 - 3)?.parse().ok()?;
        let start = fields.nth(22 - 10)?.parse().ok()?;
        Some(Self { is_kernel: flags & KERNEL != 0, start })
    }
}

#[cfg(test)]
mod tests {
    //! The samples are written by hand in the form of `dma_buf_show_fdinfo`, `show_map_vma` and `do_task_stat`.

    use super::{FdInfo, Key, Kind, MapsLine, Stat, kind_of};

    #[test]
    fn a_dma_buf_shows_size_count_exporter_and_name() {
        let text = "pos:\t0\nflags:\t02000002\nmnt_id:\t12\nino:\t7\nsize:\t16384\ncount:\t3\nexp_name:\tudmabuf\nname:\tcamera 1\n";
        let info = FdInfo::parse(text);
        assert_eq!((info.inode, info.size, info.count), (Some(7), Some(16384), Some(3)));
        assert_eq!((info.exporter.as_deref(), info.name.as_deref()), (Some("udmabuf"), Some("camera 1")));
    }

    #[test]
    fn a_name_cannot_pose_as_another_line() {
        let text = "pos:\t0\nflags:\t02000000\nmnt_id:\t12\nino:\t7\nsize:\t4096\ncount:\t1\nexp_name:\tsystem\nname:\tx\nino:\t8\nsize:\t1\n";
        let info = FdInfo::parse(text);
        assert_eq!((info.inode, info.size), (Some(7), Some(4096)));
    }

    #[test]
    fn kernels_before_5_14_show_no_inode_and_anything_may_be_cut_off() {
        let info = FdInfo::parse("pos:\t0\nflags:\t02\nmnt_id:\t9\nsize:\t4096\ncount:\t");
        assert_eq!((info.inode, info.size, info.count), (None, Some(4096), None));
        assert_eq!(FdInfo::parse(""), FdInfo::default());
        assert_eq!(FdInfo::parse("ino:\t-1\nsize:\t99999999999999999999999\n\n:::\n").size, None);
    }

    #[test]
    fn buffers_are_known_by_their_paths() {
        assert_eq!(kind_of("/dmabuf:"), Some(Kind::DmaBuf));
        assert_eq!(kind_of("/dmabuf:a name"), Some(Kind::DmaBuf));
        assert_eq!(kind_of("/memfd:handover-pixels (deleted)"), Some(Kind::Pixels));
        assert_eq!(kind_of("/memfd:handover-control (deleted)"), Some(Kind::Control));
        for other in
            ["/memfd:handover-status (deleted)", "/memfd:x (deleted)", "/tmp/dmabuf:", "anon_inode:[eventpoll]", ""]
        {
            assert_eq!(kind_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_line_of_maps_names_buffer_access_and_extent() {
        let line = "7f4c00000000-7f4c00004000 rw-s 00001000 00:0b 7                          /dmabuf:camera 1";
        let parsed = MapsLine::parse(line).unwrap();
        assert_eq!(parsed.key, Key { kind: Kind::DmaBuf, inode: 7 });
        assert_eq!((parsed.bytes, parsed.end, parsed.writable), (0x4000, 0x5000, true));
        assert_eq!(parsed.name.as_deref(), Some("camera 1"));
        assert_eq!(parsed.range, "7f4c00000000-7f4c00004000");
        let line =
            "7f1e1f5ff000-7f1e1f720000 r--s 00000000 00:01 4132                       /memfd:handover-pixels (deleted)";
        let parsed = MapsLine::parse(line).unwrap();
        assert_eq!((parsed.key.kind, parsed.writable, parsed.name), (Kind::Pixels, false, None));
    }

    #[test]
    fn other_lines_of_maps_and_nonsense_are_passed_over() {
        for line in [
            "",
            "7f00-7e00 rw-s 0 00:0b 7 /dmabuf:",
            "7f00 rw-s 0 00:0b 7 /dmabuf:",
            "x-y rw-s 0 00:0b 7 /dmabuf:",
            "1000-2000 rw-s ffffffffffffffff 00:0b 7 /dmabuf:",
            "1000-2000 rw-s 0 00:0b seven /dmabuf:",
            "55d0c8a00000-55d0c8a02000 r--p 00000000 fe:00 131 /usr/bin/cat",
            "7ffc8e5d2000-7ffc8e5f3000 rw-p 00000000 00:00 0 [stack]",
            "7f1e1f700000-7f1e1f720000 rw-p 00000000 00:00 0 ",
        ] {
            assert_eq!(MapsLine::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_process_may_be_called_anything() {
        let text = "42 (a) R (b c)) S 1 42 42 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 777 1000 10 18446744073709551615";
        assert_eq!(Stat::parse(text), Some(Stat { is_kernel: false, start: 777 }));
        let text = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0";
        assert_eq!(Stat::parse(text), Some(Stat { is_kernel: true, start: 0 }));
        assert_eq!(Stat::parse("42 (cut off) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }
}
