//! Writes a cpio archive in the "newc" format, which is what the kernel unpacks as its first root.
//!
//! The layout is that of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst: a header of thirteen
//! eight-digit hexadecimal numbers behind the magic, the name with its zero, the content; name and content each end on
//! a multiple of four bytes.

/// Starts every header.
const MAGIC: &str = "070701";
/// The name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// `S_IFDIR` and `S_IFREG` of stat(2).
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// An archive that grows entry by entry. A folder must be added before what lies in it.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// A folder that root owns and everybody may enter. `path` has no leading slash.
    pub(super) fn folder(&mut self, path: &str) -> Result<(), String> {
        self.entry(path, FOLDER | 0o755, &[])
    }

    /// A file that root owns and everybody may read and execute.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> Result<(), String> {
        self.entry(path, FILE | 0o755, content)
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, String> {
        self.entry(TRAILER, 0, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<(), String> {
        let size = u32::try_from(content.len()).map_err(|_| format!("{path} is too long for a cpio archive"))?;
        let name_size =
            u32::try_from(path.len()).ok().and_then(|n| n.checked_add(1)).ok_or("a path is too long for cpio")?;
        self.entries = self.entries.checked_add(1).ok_or("too many files for one cpio archive")?;
        let links = if mode & FOLDER == FOLDER { 2 } else { 1 };
        // Inode, mode, user, group, links, time, size, device (2), device the file stands for (2), name's size, checksum.
        let numbers = [self.entries, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(MAGIC.as_bytes());
        for number in numbers {
            self.bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::Archive;

    fn small() -> Vec<u8> {
        let mut archive = Archive::default();
        archive.folder("etc").unwrap();
        archive.file("etc/name", b"guest").unwrap();
        archive.file("init", b"").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn every_header_stands_on_a_multiple_of_four_and_bears_its_sizes() {
        let bytes = small();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let headers: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(headers.len(), 4, "{text:?}");
        assert!(headers.iter().all(|at| at % 4 == 0), "{headers:?}");
        let (folder, file) = (&text[headers[0]..headers[1]], &text[headers[1]..headers[2]]);
        assert!(folder.starts_with("0707010000000100004 1ed".replace(' ', "").as_str()), "{folder:?}");
        // From the thirteen numbers: the sixth is the size, the eleventh the size of the name with its zero.
        assert_eq!(&file[6 + 6 * 8..6 + 7 * 8], "00000005");
        assert_eq!(&file[6 + 11 * 8..6 + 12 * 8], "00000009");
        assert!(file.ends_with("etc/name\0\0guest\0\0\0"), "{file:?}");
    }

    #[test]
    fn the_program_cpio_lists_the_same_files() {
        let Ok(mut cpio) = Command::new("cpio")
            .args(["-tv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
        else {
            eprintln!("skipped: there is no program cpio here");
            return;
        };
        cpio.stdin.take().unwrap().write_all(&small()).unwrap();
        let output = cpio.wait_with_output().unwrap();
        assert!(output.status.success());
        let listing = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<(&str, &str)> = listing.lines().map(|l| (&l[..10], l.rsplit(' ').next().unwrap())).collect();
        assert_eq!(lines, [("drwxr-xr-x", "etc"), ("-rwxr-xr-x", "etc/name"), ("-rwxr-xr-x", "init")]);
    }
}
