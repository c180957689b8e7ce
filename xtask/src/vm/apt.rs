//! apt with a state of its own: it fetches the guest's packages without root, and changes nothing of the host's.
//!
//! Its lists and archives lie below `target/vm/apt`; of the host it only reads the status of `dpkg`, since what the host has new
//! enough need not come again.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::packages::{KEYRING, PACKAGES, PREFERRED, SIZE, SUITES, Suite};
use super::stock::STATUS;

/// Makes file systems; a person's search path may lack its folder.
pub(super) const MKE2FS: &str = "/sbin/mke2fs";

/// Where the fetched packages lie, below apt's folder.
const ARCHIVES: &str = "cache/archives";

/// Folders that have moved below /usr: packages may still name the old place, where the host has a link.
const MOVED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// All that apt is asked, apart from what the host has.
pub(super) fn question() -> String {
    let names: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
    format!("{}\n{}", sources(), names.join("\n"))
}

fn sources() -> String {
    let line = |suite: &Suite| format!("deb [arch=amd64 signed-by={KEYRING}] {} {} main\n", suite.archive, suite.suite);
    SUITES.iter().map(line).collect()
}

/// apt with a state of its own.
pub(super) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// `folder` holds its lists and what it fetches.
    pub(super) fn new(folder: &Path) -> Result<Self, String> {
        let apt = Self { folder: folder.to_owned() };
        let failed = |e: std::io::Error| format!("{} cannot be written: {e}", folder.display());
        for place in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(place)).map_err(failed)?;
        }
        fs::write(folder.join("sources.list"), sources()).map_err(failed)?;
        fs::write(folder.join("apt.conf"), settings(folder)).map_err(failed)?;
        Ok(apt)
    }

    /// What the guest needs and the host lacks, or has older: a line `PACKAGE VERSION` each, sorted.
    pub(super) fn set(&self) -> Result<String, String> {
        eprintln!("xtask vm: asks the archive for the guest's packages");
        // Without the option a suite that cannot be had is a warning, and old versions would come from the others.
        self.run(&["update", "-q", "--error-on=any"])?;
        let simulated = self.install(&["--simulate"])?;
        Ok(inst_lines(&String::from_utf8_lossy(&simulated.stdout)))
    }

    /// Fetches the set and makes `file` of it, which appears only when all of it is there.
    pub(super) fn fetch(&self, set: &str, file: &Path) -> Result<(), String> {
        eprintln!("xtask vm: fetching {} packages ({SIZE}; kept as {})", set.lines().count(), file.display());
        self.install(&["--download-only"])?;
        let failed = |e: std::io::Error| format!("{} cannot be made: {e}", file.display());
        let (folder, part) = (self.folder.join("unpacked"), self.folder.join("image"));
        let _ = fs::remove_dir_all(&folder);
        self.unpack(&folder).map_err(|why| format!("{why} (in {})", folder.display()))?;
        file_system(&folder, &part)?;
        fs::rename(&part, file).map_err(failed)?;
        let _ = fs::remove_dir_all(&folder);
        let _ = fs::remove_dir_all(self.folder.join(ARCHIVES));
        Ok(())
    }

    fn unpack(&self, folder: &Path) -> Result<(), String> {
        let failed = |e: std::io::Error| format!("the packages cannot be unpacked: {e}");
        fs::create_dir_all(folder.join("usr")).map_err(failed)?;
        for name in MOVED {
            // As on the host: a folder here would hide the host's link, and all that is behind it.
            if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
                fs::create_dir_all(folder.join("usr").join(name)).map_err(failed)?;
                symlink(target, folder.join(name)).map_err(failed)?;
            }
        }
        for entry in fs::read_dir(self.folder.join(ARCHIVES)).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|end| end == "deb") {
                extract(&path, folder)?;
            }
        }
        Ok(())
    }

    fn install(&self, how: &[&str]) -> Result<Output, String> {
        // A package that is held or would go is the host's, where nothing happens.
        let words = ["install", "-q", "-y", "--no-install-recommends", "--allow-change-held-packages", "-t", PREFERRED];
        let names: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
        self.run(&[&words, how, &names].concat())
    }

    fn run(&self, words: &[&str]) -> Result<Output, String> {
        let output = Command::new("apt-get")
            .arg("-c")
            .arg(self.folder.join("apt.conf"))
            .args(words)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("apt-get, which fetches them, cannot be started: {e}"))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "`apt-get {}` failed:\n{}\nIs {} within reach?",
            words.first().unwrap_or(&""),
            said.trim(),
            SUITES.first().map_or("", |suite| suite.archive)
        ))
    }
}

/// apt's configuration. It is read after the host's, whose proxies hold and whose hooks do not.
fn settings(folder: &Path) -> String {
    let mut text = String::new();
    for list in ["APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success"] {
        let _ = writeln!(text, "#clear {list};");
    }
    text += "#clear APT::Architectures;\nAPT::Architectures { \"amd64\"; };\n";
    for (name, value) in [
        ("Dir::Etc::sourceparts", "/dev/null"),
        ("Dir::Etc::preferences", "/dev/null"),
        ("Dir::Etc::preferencesparts", "/dev/null"),
        ("Dir::State::status", STATUS),
        // It reads the host's state and writes its own, which the guest's lock guards.
        ("Debug::NoLocking", "true"),
        // Its usual user, _apt, may not reach a checkout below somebody's home.
        ("APT::Sandbox::User", "root"),
        ("Acquire::Languages", "none"),
        ("Acquire::Retries", "3"),
        ("Acquire::http::Timeout", "30"),
    ] {
        let _ = writeln!(text, "{name} \"{value}\";");
    }
    for (name, place) in [
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::State::lists", "lists"),
        ("Dir::Cache", "cache"),
        ("Dir::Cache::archives", ARCHIVES),
    ] {
        let _ = writeln!(text, "{name} \"{}\";", folder.join(place).display());
    }
    text
}

/// `PACKAGE VERSION` lines, sorted, of what a simulated installation would install.
fn inst_lines(simulated: &str) -> String {
    let read = |line: &str| {
        let rest = line.strip_prefix("Inst ")?;
        let name = rest.split_whitespace().next()?;
        // `Inst NAME [OLD] (NEW SUITE... [ARCH])`
        let version = rest.split_once('(')?.1.split_whitespace().next()?;
        Some(format!("{name} {version}\n"))
    };
    let mut lines: Vec<String> = simulated.lines().filter_map(read).collect();
    lines.sort_unstable();
    lines.concat()
}

/// `dpkg -x` would replace our links by folders, so tar is told to keep them.
fn extract(package: &Path, folder: &Path) -> Result<(), String> {
    let failed = |what: &str, e: std::io::Error| format!("{what} cannot be started: {e}");
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed("dpkg-deb", e))?;
    let archive = dpkg.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let tar = Command::new("tar")
        .args(["-x", "-p", "--keep-directory-symlink", "--warning=no-timestamp", "-C"])
        .arg(folder)
        .stdin(archive)
        .status()
        .map_err(|e| failed("tar", e));
    let dpkg = dpkg.wait().map_err(|e| format!("dpkg-deb was lost: {e}"))?;
    let tar = tar?;
    if dpkg.success() && tar.success() {
        return Ok(());
    }
    Err(format!("{} could not be unpacked: dpkg-deb {dpkg}, tar {tar}", package.display()))
}

/// Makes `file` a file system with what is in `folder`: read-only in the guest, so without a journal, and with no check sums, for
/// which the guest would need more modules.
fn file_system(folder: &Path, file: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{} cannot be made: {e}", file.display());
    let mut used = Used::default();
    used.add(folder).map_err(failed)?;
    let _ = fs::remove_file(file);
    let output = Command::new(MKE2FS)
        .args(["-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-m", "0", "-E", "root_owner=0:0"])
        .args(["-b", &BLOCK.to_string(), "-N", &used.inodes().to_string(), "-d"])
        .args([folder, file])
        .arg(used.blocks().to_string())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{MKE2FS} cannot be started: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{MKE2FS} failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// Bytes in a block of the file system.
const BLOCK: u64 = 4096;

/// How much a folder holds.
#[derive(Default)]
struct Used {
    files: u64,
    blocks: u64,
}

impl Used {
    fn add(&mut self, folder: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let found = entry.metadata()?;
            self.files = self.files.saturating_add(1);
            self.blocks = self.blocks.saturating_add(found.len().div_ceil(BLOCK));
            if found.is_dir() {
                self.add(&entry.path())?;
            }
        }
        Ok(())
    }

    /// With room for the file system's own.
    fn inodes(&self) -> u64 {
        self.files.saturating_add(1024)
    }

    /// The same: a tenth, the inodes (16 to a block), and 16 MiB.
    fn blocks(&self) -> u64 {
        let own = (self.blocks / 10).saturating_add(self.inodes() / 16).saturating_add(4096);
        self.blocks.saturating_add(own)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Used, inst_lines, settings, sources};

    #[test]
    fn the_set_is_read_from_a_simulation() {
        let text = "Reading package lists...\nRemv libglapi-mesa [22.3.6-1]\n\
                    Inst weston (14.0.2-1~bpo12+1 Debian Backports:bookworm-backports [amd64])\n\
                    Inst libdrm2 [2.4.114-1+b1] (2.4.123-1~bpo12+1 Debian Backports:bookworm-backports [amd64]) []\n\
                    Conf weston (14.0.2-1~bpo12+1 Debian Backports:bookworm-backports [amd64])\n";
        assert_eq!(inst_lines(text), "libdrm2 2.4.123-1~bpo12+1\nweston 14.0.2-1~bpo12+1\n");
        assert_eq!(inst_lines("weston is already the newest version.\n"), "");
    }

    #[test]
    fn apt_writes_in_its_own_folder_and_trusts_the_archives_key_only() {
        let text = settings(Path::new("/t/apt"));
        for part in ["Dir::State::lists \"/t/apt/lists\"", "Dir::Cache::archives \"/t/apt/cache/archives\""] {
            assert!(text.contains(part), "{text}");
        }
        assert!(sources().lines().all(|line| line.contains("signed-by=")), "{}", sources());
    }

    #[test]
    fn a_folder_is_measured_with_all_below_it() {
        let folder = std::env::temp_dir().join(format!("xtask-apt-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("below/two-blocks"), [0; 4097]).unwrap();
        let mut used = Used::default();
        let done = used.add(&folder);
        fs::remove_dir_all(&folder).unwrap();
        done.unwrap();
        assert_eq!(used.files, 2);
        assert!(used.blocks >= 2 && used.blocks() > used.blocks, "{}", used.blocks);
    }
}
