//! Where the bytes of a clip are: in a file, or in memory.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::media::{Error, Kind, Result};

pub(super) enum Bytes {
    File { file: File, length: u64, read: AtomicU64 },
    Memory(Cow<'static, [u8]>),
}

pub(super) struct Source {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self> {
        // The link of a descriptor is called what it leads to: people know that name.
        let shown = std::fs::read_link(path).ok().filter(|_| path.starts_with("/proc"));
        let name = shown.as_deref().unwrap_or(path).display().to_string();
        // A directory opens well and a pipe would make us wait for a writer: ask before opening.
        let metadata = std::fs::metadata(path).map_err(|error| Error::unreadable(&name, &error))?;
        let irregular = || Error::new(Kind::Unreadable, &name, "it is no regular file").help("the path of an MP4 file");
        if !metadata.is_file() {
            return Err(irregular());
        }
        let file = File::open(path).map_err(|error| Error::unreadable(&name, &error))?;
        let metadata = file.metadata().map_err(|error| Error::unreadable(&name, &error))?;
        // Another file may have taken the path between the two.
        if !metadata.is_file() {
            return Err(irregular());
        }
        Ok(Self { name, bytes: Bytes::File { file, length: metadata.len(), read: AtomicU64::new(0) } })
    }

    pub(super) fn length(&self) -> u64 {
        match &self.bytes {
            Bytes::File { length, .. } => *length,
            Bytes::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Bytes read from the file so far; those in memory cost no system call and are not counted.
    pub(super) fn file_bytes(&self) -> u64 {
        match &self.bytes {
            Bytes::File { read, .. } => read.load(Ordering::Relaxed),
            Bytes::Memory(_) => 0,
        }
    }

    /// Exactly `size` bytes from `at`. The caller bounds `size`.
    pub(super) fn read(&self, at: u64, size: usize) -> Result<Vec<u8>> {
        if at.checked_add(size as u64).is_none_or(|end| end > self.length()) {
            let found = format!("{size} bytes are announced at byte {at}, the file ends at byte {}", self.length());
            return Err(self.error(Kind::Truncated, found));
        }
        match &self.bytes {
            Bytes::File { file, read, .. } => {
                let mut bytes = vec![0; size];
                file.read_exact_at(&mut bytes, at).map_err(|error| Error::unreadable(&self.name, &error))?;
                read.fetch_add(size as u64, Ordering::Relaxed);
                Ok(bytes)
            }
            Bytes::Memory(bytes) => {
                let range = usize::try_from(at).ok().and_then(|at| bytes.get(at..at.checked_add(size)?));
                range.map(<[u8]>::to_vec).ok_or_else(|| self.error(Kind::Truncated, format!("no bytes at {at}")))
            }
        }
    }

    pub(super) fn error(&self, kind: Kind, found: impl Into<String>) -> Error {
        Error::new(kind, &self.name, found)
    }
}
