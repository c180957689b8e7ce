//! The guest's packages (`packages.rs`): fetched by apt, unpacked below `target/vm`, but not installed. The guest lays them
//! over the host's root, so the host's own Mesa stays as it is.
//!
//! They come to the guest as one file with a file system in it. Over 9p each look at a folder would be a message to the host,
//! and a Vulkan loader looks at many. `stock-KEY.ext4` is one exact set of versions; `stock-KEY.txt` beside it lists them, and
//! says for which question apt gave that answer, so that apt is asked once.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{self, Apt};
use super::packages::DISTRIBUTION;

/// What the host has installed.
pub(super) const STATUS: &str = "/var/lib/dpkg/status";

/// What a person can do who gets no packages.
const HELP: &str = "--stock FILE names such a file (stock-KEY.ext4) from another checkout or machine; with --stock none the \
                    guest has what this machine has, and tests that need more fail";

/// Finds the file with the guest's packages, and makes it when it is not there. `named` is such a file, or `none`. Gives None
/// when the guest shall do without.
pub(super) fn find(named: Option<&str>, cache: &Path) -> Result<Option<PathBuf>, String> {
    match named {
        None => fetched(cache).map(Some),
        Some("none") => Ok(None),
        Some(named) => match Path::new(named).canonicalize() {
            Ok(file) if file.is_file() => Ok(Some(file)),
            Ok(_) => Err(format!("--stock {named}: it is no file")),
            Err(error) => Err(format!("--stock {named}: {error}")),
        },
    }
}

fn fetched(cache: &Path) -> Result<PathBuf, String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    is_known(&release).map_err(|why| format!("{why}; {HELP}"))?;
    let status = fs::read(STATUS).map_err(|e| format!("cannot read {STATUS}: {e}; {HELP}"))?;
    let asked = Asked { packages: key(apt::question().as_bytes()), host: key(&status) };
    let kept = Kept::all(cache);
    if let Some(found) = kept.iter().find(|kept| kept.asked == asked) {
        return Ok(found.file.clone());
    }
    match made(&asked, cache) {
        Ok(file) => {
            kept.iter().filter(|kept| kept.file != file).for_each(Kept::remove);
            Ok(file)
        }
        // What was fetched before this machine's own packages changed will mostly do; better than no guest on a train.
        Err(why) => match kept.into_iter().find(|kept| kept.asked.packages == asked.packages) {
            Some(old) => {
                eprintln!("xtask vm: {why}\nxtask vm: goes on with {}, fetched earlier", old.file.display());
                Ok(old.file)
            }
            None => Err(format!("the guest's packages (Mesa, Weston) are not here, and {why}\n{HELP}")),
        },
    }
}

/// Asks apt; makes the file with its answer when it is not there.
fn made(asked: &Asked, cache: &Path) -> Result<PathBuf, String> {
    let apt = Apt::new(&cache.join("apt"))?;
    let set = apt.set()?;
    let file = cache.join(format!("stock-{}.ext4", key(set.as_bytes())));
    if !file.is_file() {
        apt.fetch(&set, &file)?;
    }
    let list = list_of(&file);
    fs::write(&list, asked.line() + &set).map_err(|e| format!("{} cannot be written: {e}", list.display()))?;
    Ok(file)
}

/// Is this the distribution that the list is made for?
fn is_known(release: &str) -> Result<(), String> {
    let value = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or("unknown").trim_matches('"').to_owned()
    };
    let (id, codename) = (value("ID"), value("VERSION_CODENAME"));
    if (id.as_str(), codename.as_str()) == DISTRIBUTION {
        return Ok(());
    }
    Err(format!(
        "this machine runs {id} {codename}, and the guest's packages are known for {} {} only",
        DISTRIBUTION.0, DISTRIBUTION.1
    ))
}

/// What an answer of apt's depends on: two questions are the same if both keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    packages: String,
    host: String,
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): names a set, and is the same in every version of Rust.
fn key(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

/// A set that was fetched before.
struct Kept {
    file: PathBuf,
    asked: Asked,
}

impl Kept {
    /// All sets below `cache`, the newest first.
    fn all(cache: &Path) -> Vec<Self> {
        let lists = fs::read_dir(cache).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut kept: Vec<_> = lists
            .filter_map(|list| {
                let text = fs::read_to_string(&list).ok()?;
                let file = list.with_extension("ext4");
                let is_ours = list.extension()? == "txt" && file.is_file();
                let changed = fs::metadata(&list).and_then(|found| found.modified()).ok()?;
                Some((changed, Self { file, asked: Asked::read(&text).filter(|_| is_ours)? }))
            })
            .collect();
        kept.sort_by_key(|(changed, _)| std::cmp::Reverse(*changed));
        kept.into_iter().map(|(_, kept)| kept).collect()
    }

    fn remove(&self) {
        let _ = fs::remove_file(list_of(&self.file));
        let _ = fs::remove_file(&self.file);
    }
}

impl Asked {
    const WORD: &str = "asked";

    /// The first line of a list.
    fn read(list: &str) -> Option<Self> {
        match list.lines().next()?.split_whitespace().collect::<Vec<_>>().as_slice() {
            [word, packages, host] if *word == Self::WORD => {
                Some(Self { packages: (*packages).to_owned(), host: (*host).to_owned() })
            }
            _ => None,
        }
    }

    fn line(&self) -> String {
        format!("{} {} {}\n", Self::WORD, self.packages, self.host)
    }
}

fn list_of(file: &Path) -> PathBuf {
    file.with_extension("txt")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{Asked, Kept, find, is_known, key, list_of};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-stock-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_key_is_the_same_everywhere() {
        // From the hash's own test vectors.
        assert_eq!(key(b""), "cbf29ce484222325");
        assert_eq!(key(b"foobar"), "85944171f73967e8");
    }

    #[test]
    fn other_distributions_are_refused_by_name() {
        assert_eq!(is_known("NAME=\"Debian\"\nVERSION_CODENAME=bookworm\nID=debian\n"), Ok(()));
        let why = is_known("ID=ubuntu\nVERSION_CODENAME=\"noble\"\nID_LIKE=debian\n").unwrap_err();
        assert!(why.contains("ubuntu noble") && why.contains("bookworm"), "{why}");
        assert!(is_known("").unwrap_err().contains("unknown"));
    }

    #[test]
    fn only_a_whole_set_is_found_again() {
        let cache = folder("kept");
        let asked = Asked { packages: "p".to_owned(), host: "h".to_owned() };
        let whole = cache.join("stock-1.ext4");
        fs::write(&whole, "").unwrap();
        fs::write(list_of(&whole), asked.line() + "weston 14\n").unwrap();
        // A list whose file somebody deleted, a file without a list, and a file of another kind.
        fs::write(cache.join("stock-2.txt"), asked.line()).unwrap();
        fs::write(cache.join("stock-3.ext4"), "").unwrap();
        fs::write(cache.join("note.txt"), "asked nothing\n").unwrap();
        let kept = Kept::all(&cache);
        let found: Vec<_> = kept.iter().map(|kept| (kept.file.clone(), kept.asked.clone())).collect();
        kept.iter().for_each(Kept::remove);
        let (left, listed) = (whole.exists(), list_of(&whole).exists());
        fs::remove_dir_all(&cache).unwrap();
        assert_eq!(found, [(whole, asked)]);
        assert!(!left && !listed);
    }

    #[test]
    fn a_named_file_is_taken_and_none_is_none() {
        let cache = folder("named");
        let no_file = find(cache.to_str(), &cache);
        let file = cache.join("set.ext4");
        fs::write(&file, "").unwrap();
        let found = find(file.to_str(), &cache);
        let expected = file.canonicalize().unwrap();
        fs::remove_dir_all(&cache).unwrap();
        assert!(no_file.unwrap_err().contains("it is no file"));
        assert_eq!(found, Ok(Some(expected)));
        assert_eq!(find(Some("none"), &cache), Ok(None));
        assert!(find(Some("/no/where"), &cache).unwrap_err().contains("/no/where"));
    }
}
