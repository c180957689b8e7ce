//! The output directory: made if it is not there, left as it should be found.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::plan::Plan;
use crate::participant::{preview_files, screen_file};
use crate::pipeline::Kind;

/// What the report is called.
pub const REPORT: &str = "report.json";

/// What the picture of who waited for whom is called.
pub(crate) const WAITS: &str = "waits.svg";

/// The directory of the results, and what may appear in it.
#[derive(Debug)]
pub struct Outputs {
    directory: PathBuf,
    /// Directories we made, the innermost last.
    made: Vec<PathBuf>,
    videos: Vec<String>,
    pictures: Vec<String>,
}

impl Outputs {
    /// Makes the directory, and removes what an earlier run left under the same names: an old file is never taken for a
    /// new one. `inputs` are the files that the run reads: a name that leads to one of them is refused.
    ///
    /// # Errors
    /// In words: the directory cannot be made or written, or a result cannot have its name. Then no file was removed, and a
    /// directory that was made is gone again.
    pub fn prepare(directory: &Path, plan: &Plan, inputs: &[&Path]) -> Result<Self, String> {
        let (mut videos, mut pictures) = (Vec::new(), Vec::new());
        for party in &plan.parties {
            match &party.participant.kind {
                Kind::Encoder(encoding) => videos.push(encoding.file.clone()),
                Kind::Preview => pictures.extend(preview_files(&party.participant.name)),
                Kind::Screen => pictures.push(screen_file(&party.participant.name)),
                _ => {}
            }
        }
        Self::prepare_for(directory, videos, pictures, inputs)
    }

    /// The same for these videos and pictures, the picture of who waited for whom and the report.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub(crate) fn prepare_for(
        directory: &Path,
        videos: Vec<String>,
        pictures: Vec<String>,
        inputs: &[&Path],
    ) -> Result<Self, String> {
        let mut this = Self { directory: directory.to_path_buf(), made: Vec::new(), videos, pictures };
        match this.make(inputs) {
            Ok(()) => Ok(this),
            Err((path, why)) => {
                this.leave_nothing();
                Err(format!("the output directory {} cannot be used: {why}", path.display()))
            }
        }
    }

    fn make(&mut self, inputs: &[&Path]) -> Result<(), (PathBuf, String)> {
        let failed = |path: &Path, error: io::Error| (path.to_path_buf(), error.to_string());
        let missing: Vec<PathBuf> = self
            .directory
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .map(Path::to_path_buf)
            .collect();
        for path in missing.into_iter().rev() {
            fs::create_dir(&path).map_err(|error| failed(&path, error))?;
            self.made.push(path);
        }
        self.check_writable().map_err(|error| failed(&self.directory, error))?;
        // Every name is checked before the first file goes.
        for path in self.earlier(inputs)? {
            fs::remove_file(&path).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    /// Better known now than after the first frame. The name is ours alone: one that a killed run left is in nobody's way.
    fn check_writable(&self) -> io::Result<()> {
        let mut attempt = 0_u32;
        let path = loop {
            let path = self.directory.join(format!(".handover-{}-{attempt}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 1000 => attempt += 1,
                opened => break opened.map(|_| path)?,
            }
        };
        fs::remove_file(path)
    }

    /// What an earlier run left, or a refusal if one of the names is no file or leads to an input.
    fn earlier(&self, inputs: &[&Path]) -> Result<Vec<PathBuf>, (PathBuf, String)> {
        let file = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        // A symbolic link and the file it leads to are both to be kept. An input that has no file (a shipped pipeline)
        // cannot be lost.
        let of = |path: &Path| [fs::symlink_metadata(path), fs::metadata(path)].into_iter().flatten().map(file);
        let kept: Vec<((u64, u64), &Path)> =
            inputs.iter().flat_map(|input| of(input).map(move |file| (file, *input))).collect();
        let mut found = Vec::new();
        for name in self.names() {
            let path = self.directory.join(&*name);
            match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err((path, error.to_string())),
                Ok(metadata) if metadata.is_dir() => return Err((path, "a directory has the name of a result".into())),
                Ok(_) => {}
            }
            if let Some((_, input)) = kept.iter().find(|(file, _)| of(&path).any(|own| own == *file)) {
                return Err((path, format!("a result would replace the input {}", input.display())));
            }
            found.push(path);
        }
        Ok(found)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Every name that a run writes, those of pictures that are being written among them.
    fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let whole =
            self.videos.iter().chain(&self.pictures).map(String::as_str).chain([WAITS, REPORT]).map(Cow::Borrowed);
        whole.chain(self.pictures.iter().map(|picture| Cow::Owned(part(picture))))
    }

    /// The results that are there, the report aside.
    pub fn files(&self) -> Vec<String> {
        let names = self.videos.iter().chain(&self.pictures).map(String::as_str).chain([WAITS]);
        names.filter(|name| self.directory.join(name).is_file()).map(str::to_owned).collect()
    }

    /// After processes were killed: cuts videos to their last whole fragment, removes empty ones and pictures that were
    /// being written. A kill can stop a write half-way.
    pub fn mend(&self) {
        for video in &self.videos {
            // A video that cannot be mended is still better kept than lost.
            let _ = cut_to_whole_fragments(&self.directory.join(video));
        }
        for picture in &self.pictures {
            let _ = fs::remove_file(self.directory.join(part(picture)));
        }
    }

    /// Removes the directories we made, as far as they are empty.
    pub fn leave_nothing(&self) {
        for path in self.made.iter().rev() {
            // One that is not empty stays.
            let _ = fs::remove_dir(path);
        }
    }
}

/// What a picture is called until it is whole.
fn part(picture: &str) -> String {
    format!("{picture}.part")
}

/// Cuts an MP4 file behind its last complete `mdat`; removes it if there is none.
fn cut_to_whole_fragments(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let whole = whole_length(&mut file, length)?;
    if whole == 0 {
        return fs::remove_file(path);
    }
    if whole < length { file.set_len(whole) } else { Ok(()) }
}

/// The end of the last `mdat` that lies in the file.
fn whole_length(file: &mut File, length: u64) -> io::Result<u64> {
    let (mut at, mut whole) = (0_u64, 0);
    while at.checked_add(8).is_some_and(|end| end <= length) {
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0; 8];
        file.read_exact(&mut header)?;
        let [a, b, c, d, kind @ ..] = header;
        // Our boxes are short: none has the 64-bit size, or the size that means "to the end".
        let size = u64::from(u32::from_be_bytes([a, b, c, d]));
        at = match at.checked_add(size) {
            Some(end) if size >= 8 && end <= length => end,
            _ => break,
        };
        if &kind == b"mdat" {
            whole = at;
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::cut_to_whole_fragments;
    use std::fs;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = (body.len() as u32 + 8).to_be_bytes();
        [&size[..], kind, body].concat()
    }

    #[test]
    fn a_video_is_cut_behind_its_last_whole_fragment() {
        let directory = std::env::temp_dir().join(format!("handover-outputs-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("v.mp4");
        let front = [boxed(b"ftyp", b"iso5"), boxed(b"moov", &[1; 40])].concat();
        let fragment = [boxed(b"moof", &[2; 30]), boxed(b"mdat", &[3; 100])].concat();
        let whole = [&front[..], &fragment, &fragment].concat();
        for cut in 1..=fragment.len() {
            let more = [&whole[..], &fragment[..cut]].concat();
            fs::write(&path, &more).unwrap();
            cut_to_whole_fragments(&path).unwrap();
            let expected = if cut == fragment.len() { more.len() } else { whole.len() };
            assert_eq!(fs::read(&path).unwrap().len(), expected, "cut after {cut} bytes");
        }
        fs::write(&path, &front).unwrap();
        cut_to_whole_fragments(&path).unwrap();
        assert!(!path.exists(), "a video without a frame is removed");
        fs::remove_dir_all(&directory).unwrap();
    }
}
