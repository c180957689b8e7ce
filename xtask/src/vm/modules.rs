//! Which kernel modules the guest loads, and in which order: a module comes after those that it depends on.
//!
//! A module says what it needs in itself (`depends=` in its section `.modinfo`), so neither depmod nor kmod is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A module that the guest wants, with its parameters.
struct Wanted {
    name: &'static str,
    parameters: &'static str,
}

/// In this order, since the first graphics driver gets `card0` and `renderD128`.
const WANTED: &[Wanted] = &[
    Wanted { name: "virtio_pci", parameters: "" },
    Wanted { name: "virtio_console", parameters: "" },
    Wanted { name: "9pnet_virtio", parameters: "" },
    Wanted { name: "9p", parameters: "" },
    Wanted { name: "overlay", parameters: "" },
    Wanted { name: "virtio_blk", parameters: "" },
    // ext4 asks for it by a name that its list of dependencies does not have.
    Wanted { name: "crc32c_generic", parameters: "" },
    Wanted { name: "ext4", parameters: "" },
    Wanted { name: "virtio_gpu", parameters: "" },
    Wanted { name: "vgem", parameters: "" },
    // Two devices, each with a capture node (bit 0) and an output node (bit 8) and none of the others it could pretend; the second
    // with several planes a buffer.
    Wanted { name: "vivid", parameters: "n_devs=2 node_types=0x101,0x101 multiplanar=1,2" },
];

/// A module as the guest loads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    /// What insmod is given behind the file, such as `n_devs=1`.
    pub(super) parameters: &'static str,
    /// The module itself, not compressed.
    pub(super) content: Vec<u8>,
}

/// Where a kernel keeps its modules, and which of them it has built in.
pub(super) struct Shelf {
    /// Name, with underscores → file.
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

impl Shelf {
    /// Looks through `folder`, the kernel's `lib/modules/VERSION`.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        walk(folder, &mut files)?;
        let list = folder.join("modules.builtin");
        let text = fs::read_to_string(&list).map_err(|e| format!("cannot read {}: {e}", list.display()))?;
        let built_in = text.lines().filter_map(|line| module_name(Path::new(line))).collect();
        Ok(Self { files, built_in })
    }

    /// The modules that the guest loads, each after those it depends on.
    pub(super) fn in_order(&self) -> Result<Vec<Module>, String> {
        let mut loaded = Vec::new();
        for wanted in WANTED {
            self.add(wanted.name, wanted.parameters, &mut loaded, &|path| content(path))?;
        }
        Ok(loaded)
    }

    fn add(
        &self,
        name: &str,
        parameters: &'static str,
        loaded: &mut Vec<Module>,
        read: &dyn Fn(&Path) -> Result<Vec<u8>, String>,
    ) -> Result<(), String> {
        if self.built_in.contains(name) || loaded.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let path = self.files.get(name).ok_or_else(|| format!("this kernel has no module {name}"))?;
        let content = read(path)?;
        for needed in depends(&content) {
            self.add(&needed, "", loaded, read)?;
        }
        loaded.push(Module { name: name.to_owned(), parameters, content });
        Ok(())
    }
}

fn walk(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file()
            && let Some(name) = module_name(&entry.path())
        {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// `.../virtio-gpu.ko.xz` → `virtio_gpu`: file names have either sign, the kernel uses underscores.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let (stem, end) = file.split_once(".ko")?;
    matches!(end, "" | ".xz" | ".gz" | ".zst").then(|| stem.replace('-', "_"))
}

/// The module, unpacked by the program for its ending.
fn content(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    let (program, arguments): (_, &[&str]) = match path.extension().and_then(|end| end.to_str()) {
        Some("xz") => ("busybox", &["xzcat"]),
        Some("gz") => ("busybox", &["zcat"]),
        Some("zst") => ("zstd", &["-dc"]),
        _ => return fs::read(path).map_err(failed),
    };
    let file = fs::File::open(path).map_err(failed)?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(file)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot start {program}, which unpacks {}: {e}", path.display()))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{program} could not unpack {}: {}", path.display(), output.status))
    }
}

/// The names behind `depends=` in a module's `.modinfo`, whose entries end with a zero.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value: Vec<u8> = module.iter().skip(at.saturating_add(KEY.len())).copied().take_while(|&b| b != 0).collect();
    let names = String::from_utf8_lossy(&value).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Shelf, depends, module_name};

    #[test]
    fn a_module_goes_by_its_name_whatever_packs_it() {
        for (file, name) in
            [("a/9p.ko", "9p"), ("drm-x.ko.xz", "drm_x"), ("a_b.ko.zst", "a_b"), ("kernel/c.ko.gz", "c")]
        {
            assert_eq!(module_name(Path::new(file)).as_deref(), Some(name));
        }
        for other in ["modules.order", "x.ko.asc", "x.kofi"] {
            assert_eq!(module_name(Path::new(other)), None);
        }
    }

    #[test]
    fn what_a_module_depends_on_stands_in_it() {
        assert_eq!(depends(b"\x7fELF\0license=GPL\0depends=drm,virtio-dma-buf\0name=x\0"), ["drm", "virtio_dma_buf"]);
        assert!(depends(b"\x7fELF\0depends=\0name=x\0").is_empty());
        assert!(depends(b"\x7fELF").is_empty());
    }

    fn shelf() -> Shelf {
        let files = ["gpu", "helper", "drm", "lonely"].map(|name| (name.to_owned(), PathBuf::from(name)));
        Shelf { files: files.into(), built_in: ["bus".to_owned()].into() }
    }

    fn made_up(path: &Path) -> Result<Vec<u8>, String> {
        let needs: &[u8] = match path.to_str() {
            Some("gpu") => b"\0depends=helper,drm,bus\0",
            Some("helper") => b"\0depends=drm\0",
            Some("lonely") => b"\0depends=nowhere\0",
            _ => b"",
        };
        Ok(needs.to_vec())
    }

    #[test]
    fn each_module_comes_after_those_it_needs_and_only_once() {
        let mut loaded = Vec::new();
        shelf().add("bus", "", &mut loaded, &made_up).unwrap();
        shelf().add("gpu", "debug=1", &mut loaded, &made_up).unwrap();
        shelf().add("drm", "", &mut loaded, &made_up).unwrap();
        let names: Vec<_> = loaded.iter().map(|module| (module.name.as_str(), module.parameters)).collect();
        assert_eq!(names, [("drm", ""), ("helper", ""), ("gpu", "debug=1")]);
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let error = shelf().add("lonely", "", &mut Vec::new(), &made_up).unwrap_err();
        assert!(error.contains("nowhere"), "{error}");
    }
}
