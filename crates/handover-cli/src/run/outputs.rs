//! The output directory: made if it is not there, left as it should be found.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::plan::Plan;
use crate::participant::preview_files;
use crate::pipeline::Kind;

/// What the report is called.
pub const REPORT: &str = "report.json";

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
    /// new one.
    ///
    /// # Errors
    /// In words: the directory cannot be made or written.
    pub fn prepare(directory: &Path, plan: &Plan) -> Result<Self, String> {
        let failed =
            |what: &Path, error: io::Error| format!("the output directory {} cannot be used: {error}", what.display());
        let mut this =
            Self { directory: directory.to_path_buf(), made: Vec::new(), videos: Vec::new(), pictures: Vec::new() };
        for party in &plan.parties {
            match &party.participant.kind {
                Kind::Encoder(encoding) => this.videos.push(encoding.file.clone()),
                Kind::Preview => this.pictures.extend(preview_files(&party.participant.name)),
                _ => {}
            }
        }
        let missing: Vec<PathBuf> = directory
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .map(Path::to_path_buf)
            .collect();
        for path in missing.into_iter().rev() {
            if let Err(error) = fs::create_dir(&path) {
                this.leave_nothing();
                return Err(failed(&path, error));
            }
            this.made.push(path);
        }
        this.check_writable().map_err(|error| failed(directory, error))?;
        for name in this.names() {
            match fs::remove_file(directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&directory.join(name), error));
                }
                _ => {}
            }
        }
        Ok(this)
    }

    /// Better known now than after the first frame.
    fn check_writable(&self) -> io::Result<()> {
        let path = self.directory.join(".handover");
        OpenOptions::new().write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.videos.iter().chain(&self.pictures).map(String::as_str).chain([REPORT])
    }

    /// The results that are there, the report aside.
    pub fn files(&self) -> Vec<String> {
        let names = self.videos.iter().chain(&self.pictures);
        names.filter(|name| self.directory.join(name).is_file()).cloned().collect()
    }

    /// After processes were killed: cuts videos to their last whole fragment, removes empty ones and pictures that were
    /// being written. A kill can stop a write half-way.
    pub fn mend(&self) {
        for video in &self.videos {
            // A video that cannot be mended is still better kept than lost.
            let _ = cut_to_whole_fragments(&self.directory.join(video));
        }
        for picture in &self.pictures {
            let _ = fs::remove_file(self.directory.join(format!("{picture}.part")));
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
