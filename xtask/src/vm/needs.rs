//! What the guest needs of this machine: the programs, the Debian packages that hold them, and their installation.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{apt, kernel, machine, packages};

/// A program or, by its whole path, a file; where it comes from and what for.
struct Need {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

/// What every run needs.
const NEEDS: &[Need] = &[
    Need { program: machine::QEMU, package: "qemu-system-x86", purpose: "the machine" },
    Need { program: "busybox", package: "busybox-static", purpose: "the guest's first programs" },
    Need { program: "setpriv", package: "util-linux", purpose: "no guest outlives this program" },
    Need { program: "timeout", package: "coreutils", purpose: "no test outlives its time" },
    Need { program: "cc", package: "gcc", purpose: "tests compare with C headers, and with C programs" },
    Need { program: "/usr/include/linux/dma-buf.h", package: "linux-libc-dev", purpose: "the kernel's headers" },
    Need {
        program: "/usr/include/libdrm/amdgpu.h",
        package: "libdrm-dev",
        purpose: "DRM's headers, and libdrm_amdgpu",
    },
];

/// What fetching a kernel needs besides.
const FETCH_NEEDS: &[Need] = &[
    Need { program: "apt-get", package: "apt", purpose: "fetches the kernel" },
    Need { program: "apt-cache", package: "apt", purpose: "finds the kernel" },
    Need { program: "dpkg", package: "dpkg", purpose: "unpacks the kernel" },
];

/// What fetching the guest's packages needs besides.
const STOCK_NEEDS: &[Need] = &[
    Need { program: "apt-get", package: "apt", purpose: "fetches the guest's packages" },
    Need { program: "dpkg-deb", package: "dpkg", purpose: "reads the guest's packages" },
    Need { program: "tar", package: "tar", purpose: "unpacks the guest's packages" },
    Need { program: apt::MKE2FS, package: "e2fsprogs", purpose: "makes a file system of the guest's packages" },
    Need {
        program: packages::KEYRING,
        package: "debian-archive-keyring",
        purpose: "tells the archive's packages from forged ones",
    },
];

/// What is to be fetched if it is not here: not what the user named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetches {
    pub(super) kernel: bool,
    pub(super) stock: bool,
}

/// Finds everything; installs what is missing if `install` says so. Gives the path of busybox.
pub(super) fn meet(install: bool, fetches: Fetches) -> Result<PathBuf, String> {
    if env::consts::ARCH != "x86_64" {
        return Err(format!(
            "the guest runs this machine's programs, and only x86_64 is known, not {}",
            env::consts::ARCH
        ));
    }
    let lacking = missing(fetches);
    let lists_missing = fetches.kernel && lacking.is_empty() && kernel::resolve(kernel::PACKAGE).is_none();
    if install && lists_missing {
        update_lists()?;
    }
    if !lacking.is_empty() {
        let mut packages: Vec<&str> = lacking.iter().map(|need| need.package).collect();
        packages.dedup();
        if !install {
            return Err(refusal(&lacking, &packages));
        }
        let said = |why: String| format!("{}\n{why}", refusal(&lacking, &packages));
        update_lists().map_err(said)?;
        as_root(&[&["apt-get", "install", "-y", "-q", "--no-install-recommends"], packages.as_slice()].concat())?;
        let still = missing(fetches);
        if !still.is_empty() {
            return Err(refusal(&still, &packages));
        }
    }
    find("busybox").ok_or_else(|| "busybox is missing".to_owned())
}

fn missing(fetches: Fetches) -> Vec<&'static Need> {
    let kernel = if fetches.kernel { FETCH_NEEDS } else { &[] };
    let stock = if fetches.stock { STOCK_NEEDS } else { &[] };
    NEEDS.iter().chain(kernel).chain(stock).filter(|need| !is_met(need)).collect()
}

fn is_met(need: &Need) -> bool {
    if need.program.starts_with('/') {
        return Path::new(need.program).exists();
    }
    find(need.program).is_some_and(|path| need.program != "busybox" || is_static(&path))
}

fn refusal(lacking: &[&Need], packages: &[&str]) -> String {
    let mut text = String::from("missing:\n");
    for Need { program, package, purpose } in lacking {
        text += &format!("  {program:<28} {purpose}; package {package}\n");
    }
    text + &format!(
        "Run: sudo apt-get update && sudo apt-get install -y --no-install-recommends {}\nor let this command do it: cargo xtask vm --setup",
        packages.join(" ")
    )
}

/// What `apt-get` knows of the archive, anew.
pub(super) fn update_lists() -> Result<(), String> {
    as_root(&["apt-get", "update", "-q"])
}

/// Runs a command as root, or by a sudo that asks nothing: in CI nobody is there to answer.
fn as_root(words: &[&str]) -> Result<(), String> {
    let line = words.join(" ");
    let root = rustix::process::geteuid().is_root();
    if !root {
        let mut silent = Command::new("sudo");
        silent.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if !silent.status().is_ok_and(|status| status.success()) {
            return Err(format!("not root, and sudo would ask for a password; run: sudo {line}"));
        }
    }
    eprintln!("xtask vm: {line}");
    let mut command = if root { Command::new("env") } else { Command::new("sudo") };
    if !root {
        command.args(["-n", "env"]);
    }
    // Not our standard output: it is for what the guest says.
    let output = command
        .arg("DEBIAN_FRONTEND=noninteractive")
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot start {line}: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{line}` failed: {}\n{}", output.status, said.trim()))
    }
}

/// The first file of this name in the search path that may be executed.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}

/// Debian's package `busybox` has a program of the same name that needs the C library, which the guest has not yet. A program
/// that is linked dynamically names its loader.
fn is_static(program: &Path) -> bool {
    const LOADER: &[u8] = b"/ld-linux";
    fs::read(program).is_ok_and(|bytes| !bytes.windows(LOADER.len()).any(|window| window == LOADER))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{NEEDS, find, is_static, refusal};

    #[test]
    fn a_program_is_found_in_the_path() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-program-has-this-name"), None);
    }

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        assert!(!is_static(&find("env").unwrap()));
        assert!(!is_static(Path::new("/nowhere")));
    }

    #[test]
    fn the_refusal_names_each_package_and_both_ways_out() {
        let lacking: Vec<_> = NEEDS.iter().take(2).collect();
        let text = refusal(&lacking, &["qemu-system-x86", "busybox-static"]);
        for part in ["qemu-system-x86_64", "apt-get install -y --no-install-recommends qemu-system-x86 busybox-static"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.contains("cargo xtask vm --setup"), "{text}");
    }
}
