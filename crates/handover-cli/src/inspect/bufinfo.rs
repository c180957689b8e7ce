//! The kernel's own list of all dma-bufs with their fences: `/sys/kernel/debug/dma_buf/bufinfo` (`drivers/dma-buf/dma-buf.c`,
//! `dma_buf_debug_show`), and `/sys/kernel/dmabuf/buffers` (`Documentation/ABI/testing/sysfs-kernel-dmabuf-buffers`).

use std::path::Path;

use serde::Serialize;

/// One dma-buf, as the kernel lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) exporter: Option<String>,
    pub(super) name: Option<String>,
    /// Fences that are not signalled. `None`: this source does not say.
    pub(super) fences: Option<Vec<Fence>>,
    /// Devices that import it.
    pub(super) devices: Vec<String>,
}

/// A pending fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fence {
    /// Class: "kernel", "write", "read" or "bookkeep" (`include/linux/dma-resv.h`).
    pub class: String,
    /// What the kernel says of it. Its form differs between kernels: "driver timeline seq N" up to 6.16, then
    /// "context:N driver timeline".
    pub fence: String,
}

/// More text than this is cut off: some hundred thousand buffers.
pub(super) const MOST_BYTES: u64 = 32 << 20;

/// All buffers of a `bufinfo`. Lines of unknown form are passed over.
pub(super) fn parse(text: &str) -> Vec<Listed> {
    let mut found: Vec<Listed> = Vec::new();
    let mut in_devices = false;
    for line in text.lines() {
        if let Some(buffer) = head(line) {
            found.push(buffer);
            in_devices = false;
            continue;
        }
        let (Some(buffer), Some(line)) = (found.last_mut(), line.strip_prefix('\t')) else {
            in_devices = false;
            continue;
        };
        if line == "Attached Devices:" {
            in_devices = true;
        } else if in_devices {
            buffer.devices.push(line.trim().to_owned());
        } else if let Some(fence) = pending(line) {
            buffer.fences.get_or_insert_default().push(fence);
        }
    }
    found
}

/// The line that begins a buffer: size, flags, mode, count, exporter, inode, name. The kernel pads every number to eight
/// digits. Asking for them keeps a name, which is at most 31 bytes and may hold newlines and tabs, from posing as a buffer.
fn head(line: &str) -> Option<Listed> {
    let mut columns = line.splitn(7, '\t');
    let mut column = || columns.next();
    let padded = |text: &str| (text.len() >= 8).then(|| text.parse::<u64>().ok()).flatten();
    let (size, flags, mode, count) = (padded(column()?)?, column()?, column()?, padded(column()?)?);
    let is_hex = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex(flags) || !is_hex(mode) || count == 0 {
        return None;
    }
    let (exporter, inode) = (column()?, padded(column()?)?);
    let name = column().unwrap_or("<none>");
    Some(Listed {
        inode,
        size,
        exporter: Some(exporter.to_owned()),
        name: (name != "<none>" && !name.is_empty()).then(|| name.to_owned()),
        fences: Some(Vec::new()),
        devices: Vec::new(),
    })
}

/// `write fence:vgem unbound seq 1 unsignalled`; `None` if it is signalled, or no fence.
fn pending(line: &str) -> Option<Fence> {
    let (class, fence) = line.split_once(" fence:")?;
    let class = class.to_ascii_lowercase();
    // Before 5.18 there were "Exclusive" and "Shared".
    let class = match class.as_str() {
        "exclusive" => "write",
        "shared" => "read",
        "kernel" | "write" | "read" | "bookkeep" => &class,
        _ => return None,
    };
    let fence = fence.trim().strip_suffix("unsignalled")?;
    Some(Fence { class: class.to_owned(), fence: fence.trim().to_owned() })
}

/// All buffers that the statistics of sysfs list: no fences, but no privilege either. Empty where there are none.
pub(super) fn statistics(folder: &Path) -> Vec<Listed> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let one = |entry: std::fs::DirEntry| {
        let text = |name: &str| std::fs::read_to_string(entry.path().join(name)).ok();
        Some(Listed {
            inode: entry.file_name().to_str()?.parse().ok()?,
            size: text("size")?.trim().parse().ok()?,
            exporter: text("exporter_name").map(|name| name.trim().to_owned()),
            ..Listed::default()
        })
    };
    entries.filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{Fence, parse};

    const HEAD: &str = "\nDma-buf Objects:\nsize    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n";

    fn fence(class: &str, fence: &str) -> Fence {
        Fence { class: class.into(), fence: fence.into() }
    }

    /// Written after `dma_buf_debug_show`, `dma_resv_describe` and `dma_fence_describe` of Linux 6.12.
    #[test]
    fn buffers_fences_and_devices_of_6_12_are_read() {
        let text = format!(
            "{HEAD}00016384\t00000002\t00080007\t00000003\tudmabuf\t00000007\tcamera\n\
             \twrite fence:vgem unbound seq 1 unsignalled\n\tread fence:vgem unbound seq 2 signalled\n\
             \tAttached Devices:\n\tvgem\n\tvirtio0\nTotal 2 devices attached\n\n\
             00004096\t00000002\t00080007\t00000001\tsystem\t00000012\t<none>\n\tAttached Devices:\n\
             Total 0 devices attached\n\n\nTotal 2 objects, 20480 bytes\n"
        );
        let found = parse(&text);
        assert_eq!(found.len(), 2);
        let (camera, other) = (&found[0], &found[1]);
        assert_eq!((camera.inode, camera.size, camera.name.as_deref()), (7, 16384, Some("camera")));
        assert_eq!(camera.fences, Some(vec![fence("write", "vgem unbound seq 1")]));
        assert_eq!(camera.devices, ["vgem", "virtio0"]);
        assert_eq!((other.inode, &other.name, other.exporter.as_deref()), (12, &None, Some("system")));
        assert_eq!((other.fences.as_deref(), other.devices.len()), (Some([].as_slice()), 0));
    }

    /// Written after the same functions of Linux 6.17 (fences) and 5.10 (their classes).
    #[test]
    fn fences_of_newer_and_older_kernels_are_read() {
        let buffer = "00004096\t00000002\t00080007\t00000001\tamdgpu\t00000012\t<none>\n";
        let text = format!(
            "{HEAD}{buffer}\tkernel fence:31:5 amdgpu sdma0 unsignalled\n\tread fence:32:6   signalled\n\
             \tExclusive fence: amdgpu gfx unsignalled\n\tShared fence: amdgpu sdma1 unsignalled\n\tsome news: 7\n"
        );
        let expected =
            [fence("kernel", "31:5 amdgpu sdma0"), fence("write", "amdgpu gfx"), fence("read", "amdgpu sdma1")];
        assert_eq!(parse(&text)[0].fences.as_deref(), Some(expected.as_slice()));
    }

    #[test]
    fn a_name_cannot_pose_as_a_buffer_and_nonsense_is_passed_over() {
        let text = format!(
            "{HEAD}00004096\t00000002\t00080007\t00000001\tudmabuf\t00000012\tx\n1\t0\t0\t1\tx\t5\t\nrest\n\
             \tAttached Devices:\nTotal 0 devices attached\n\n\u{0}\t\n\t\nTotal"
        );
        let found = parse(&text);
        assert_eq!(found.iter().map(|buffer| buffer.inode).collect::<Vec<_>>(), [12]);
        assert!(parse("").is_empty());
        assert!(parse("\twrite fence:a b seq 1 unsignalled\n").is_empty());
    }
}
