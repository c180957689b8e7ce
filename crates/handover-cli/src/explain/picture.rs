//! The picture goes to its file: whole, or not at all, and never over what it was drawn from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Do both names lead to one file? A shipped scenario has none.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((file(one), file(other)), (Ok(one), Ok(other)) if one == other)
}

/// Writes the picture beside its name first, so that a full disk leaves what was there.
///
/// # Errors
/// Those of the kernel.
pub(super) fn write(path: &Path, picture: &str) -> io::Result<()> {
    // A device or a pipe takes what it is given; another file must not take its place. Behind a link is the file that is meant.
    let old = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return fs::write(path, picture),
        Ok(metadata) => Some((fs::canonicalize(path)?, metadata.permissions())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let target = old.as_ref().map_or(path, |(target, _)| target);
    let (mut file, beside) = beside(target)?;
    let written = file
        .write_all(picture.as_bytes())
        .and_then(|()| old.as_ref().map_or(Ok(()), |(_, permissions)| file.set_permissions(permissions.clone())))
        .and_then(|()| fs::rename(&beside, target));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A new file in the directory of `path`, with a name of its own.
fn beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut attempt = 0_u32;
    loop {
        let beside = path.with_file_name(format!(".handover-{}-{attempt}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 1000 => attempt += 1,
            opened => return opened.map(|file| (file, beside)),
        }
    }
}
