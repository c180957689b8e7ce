//! The guest's kernel: the distribution's package, fetched and unpacked but not installed, kept below `target/vm`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package whose dependency is the newest kernel of the series that the tests were written against.
pub(super) const PACKAGE: &str = "linux-image-6.12-amd64";

/// An unpacked kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// As `uname -r` says it.
    pub(super) version: String,
    pub(super) image: PathBuf,
    /// Its `lib/modules/VERSION`.
    pub(super) modules: PathBuf,
}

/// Finds the kernel, and fetches it when it is not there. `named` is a folder in which a package is unpacked, a package's
/// file, or a package's name.
pub(super) fn find(named: Option<&str>, cache: &Path) -> Result<Kernel, String> {
    let Some(named) = named else { return newest(cache) };
    let path = Path::new(named);
    if path.is_dir() {
        Kernel::below(path)
    } else if path.is_file() {
        let stem = path.file_stem().unwrap_or(OsStr::new("kernel")).to_string_lossy().into_owned();
        unpack(path, &cache.join(format!("kernel-{stem}")))
    } else if named.contains('/') {
        Err(format!("--kernel {named}: no such file or folder"))
    } else {
        fetched(&resolve(named).unwrap_or_else(|| named.to_owned()), cache)
    }
}

/// What [`PACKAGE`] stands for today; without the package lists, the newest kernel that was fetched before.
fn newest(cache: &Path) -> Result<Kernel, String> {
    if let Some(package) = resolve(PACKAGE) {
        return fetched(&package, cache);
    }
    let mut kept: Vec<PathBuf> = fs::read_dir(cache)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    kept.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kernel-")));
    kept.sort();
    match kept.last() {
        Some(folder) => Kernel::below(folder),
        None => Err(format!(
            "apt-cache knows no package {PACKAGE}. The package lists may be missing: run `apt-get update` as root, or \
             `cargo xtask vm --setup`, which does. Debian 12 has it in bookworm-security; another kernel is named by \
             --kernel"
        )),
    }
}

/// The kernel package that a package without content, such as [`PACKAGE`], depends on. None: apt-cache does not know.
pub(super) fn resolve(package: &str) -> Option<String> {
    let output = Command::new("apt-cache").args(["depends", package]).stderr(Stdio::null()).output().ok()?;
    dependency(&String::from_utf8_lossy(&output.stdout))
}

fn dependency(text: &str) -> Option<String> {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.map(str::trim).find(|name| name.starts_with("linux-image-")).map(str::to_owned)
}

fn fetched(package: &str, cache: &Path) -> Result<Kernel, String> {
    let folder = cache.join(format!("kernel-{}", package.strip_prefix("linux-image-").unwrap_or(package)));
    if folder.is_dir() {
        return Kernel::below(&folder);
    }
    let download = cache.join("download");
    let _ = fs::remove_dir_all(&download);
    fs::create_dir_all(&download).map_err(|e| format!("cannot make {}: {e}", download.display()))?;
    eprintln!("xtask vm: fetching {package} (about 100 MB, kept in {})", cache.display());
    let output = Command::new("apt-get")
        .args(["download", package])
        .current_dir(&download)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot start apt-get, which fetches the kernel: {e}"))?;
    let file = fs::read_dir(&download).ok().and_then(|mut entries| entries.find_map(|entry| Some(entry.ok()?.path())));
    let (true, Some(file)) = (output.status.success(), file) else {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "apt-get download {package} failed:\n{}\nIs the archive within reach? When the package lists are old, run \
             `apt-get update` as root, or `cargo xtask vm --setup`. --kernel names a kernel that is already here",
            said.trim()
        ));
    };
    let kernel = unpack(&file, &folder);
    let _ = fs::remove_dir_all(&download);
    kernel
}

/// Unpacks a package into `folder`, which appears only when all of it is there.
fn unpack(package: &Path, folder: &Path) -> Result<Kernel, String> {
    if !folder.is_dir() {
        let part = folder.with_file_name("unpacking");
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part).map_err(|e| format!("cannot make {}: {e}", part.display()))?;
        let status = Command::new("dpkg")
            .arg("-x")
            .args([package, &part])
            .stdin(Stdio::null())
            .status()
            .map_err(|e| format!("cannot start dpkg: {e}"))?;
        if !status.success() {
            return Err(format!("dpkg could not unpack {}: {status}", package.display()));
        }
        // A package that is no kernel must not stay as one.
        Kernel::below(&part)?;
        fs::rename(&part, folder).map_err(|e| format!("cannot rename {}: {e}", part.display()))?;
    }
    Kernel::below(folder)
}

impl Kernel {
    /// The one kernel that is unpacked in `folder`.
    fn below(folder: &Path) -> Result<Self, String> {
        let boot = folder.join("boot");
        let names = fs::read_dir(&boot).map_err(|e| format!("{} has no kernel: {e}", folder.display()))?;
        let version = names
            .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_prefix("vmlinuz-")?.to_owned()))
            .max()
            .ok_or_else(|| format!("{} has no vmlinuz-VERSION", boot.display()))?;
        // Debian 13 moved the modules below /usr.
        let modules = ["lib/modules", "usr/lib/modules"].map(|place| folder.join(place).join(&version));
        let modules = modules
            .into_iter()
            .find(|place| place.is_dir())
            .ok_or_else(|| format!("{} has no lib/modules/{version}", folder.display()))?;
        Ok(Self { image: boot.join(format!("vmlinuz-{version}")), version, modules })
    }
}

#[cfg(test)]
mod tests {
    use super::{Kernel, dependency, find};

    #[test]
    fn the_package_behind_the_name_is_found() {
        let text = "linux-image-6.12-amd64\n  Depends: linux-image-6.12.117+deb12-amd64\n";
        assert_eq!(dependency(text).as_deref(), Some("linux-image-6.12.117+deb12-amd64"));
        let whole = "linux-image-6.12.117+deb12-amd64\n  Depends: kmod\n |Depends: linux-initramfs-tool\n";
        assert_eq!(dependency(whole), None);
        assert_eq!(dependency("N: Unable to locate package\n"), None);
    }

    #[test]
    fn a_folder_is_searched_and_a_refusal_names_it() {
        let folder = std::env::temp_dir().join(format!("xtask-kernel-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("boot")).unwrap();
        let named = folder.to_str().unwrap();
        assert!(find(Some(named), &folder).unwrap_err().contains("vmlinuz"));
        std::fs::write(folder.join("boot/vmlinuz-6.12.1"), "").unwrap();
        assert!(find(Some(named), &folder).unwrap_err().contains("lib/modules/6.12.1"));
        std::fs::create_dir_all(folder.join("usr/lib/modules/6.12.1")).unwrap();
        let kernel = find(Some(named), &folder).unwrap();
        let expected = Kernel {
            version: "6.12.1".to_owned(),
            image: folder.join("boot/vmlinuz-6.12.1"),
            modules: folder.join("usr/lib/modules/6.12.1"),
        };
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(kernel, expected);
        assert!(find(Some("./nowhere"), &folder).unwrap_err().contains("./nowhere"));
    }
}
