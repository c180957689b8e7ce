//! The guest's first root: busybox, the modules, and the script that goes on from there (`init.sh`).

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::cpio::Archive;
use super::modules::Module;

const INIT: &str = include_str!("init.sh");

/// Folders that `init.sh` mounts on or writes to.
const FOLDERS: [&str; 10] = ["bin", "dev", "etc", "host", "layer", "modules", "proc", "root", "stock", "sys"];

/// The archive that the kernel unpacks. `has_stock`: packages lie over the host's root. `out` is the results' folder, on the host and in the guest.
pub(super) fn build(
    busybox: &Path,
    modules: &[Module],
    has_stock: bool,
    out: &Path,
    watchdog: Duration,
) -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.folder(folder)?;
    }
    let program = fs::read(busybox).map_err(|e| format!("cannot read {}: {e}", busybox.display()))?;
    archive.file("bin/busybox", &program)?;
    let mut list = String::new();
    for module in modules {
        archive.file(&format!("modules/{}.ko", module.name), &module.content)?;
        list += &format!("{} {}\n", module.name, module.parameters);
    }
    archive.file("etc/modules.conf", list.as_bytes())?;
    let layers = if has_stock { "/stock:/host" } else { "/host" };
    let settings = format!(
        "OUT={}\nWATCHDOG={}\nLAYERS={layers}\n",
        super::job::quote(&out.to_string_lossy()),
        watchdog.as_secs()
    );
    archive.file("etc/guest.conf", settings.as_bytes())?;
    archive.file("init", INIT.as_bytes())?;
    archive.finish()
}
