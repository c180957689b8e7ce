//! Clips: the one the program carries decodes whole, and what is no clip is refused with the reason.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use handover::Extent;
use handover_cli::media::h264::{Frames, nal_units, unit_type};
use handover_cli::media::mp4::Clip;
use handover_cli::media::{Error, I420, Kind};

fn clip() -> Clip {
    Clip::from_bytes(Clip::DEFAULT_NAME, Clip::DEFAULT).unwrap()
}

fn refused(bytes: &[u8]) -> Error {
    match Clip::from_bytes("test.mp4", bytes.to_vec()) {
        Ok(clip) => panic!("accepted with {} frames", clip.frames()),
        Err(error) => error,
    }
}

/// Position of a box's four characters.
fn find(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|four| four == kind).unwrap()
}

#[test]
fn the_default_clip_is_what_its_origin_says() {
    let clip = clip();
    assert_eq!(clip.extent(), Extent::new(720, 404).unwrap());
    assert_eq!((clip.rate().frames(), clip.rate().seconds()), (25, 1));
    assert_eq!(clip.frames(), 190);
}

#[test]
fn all_frames_of_the_default_clip_decode_and_differ() {
    let clip = clip();
    let frames: Vec<I420> = Frames::new(&clip).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(frames.len(), 190);
    // A moving picture: the tenth next frame is another one.
    assert!(frames.windows(11).all(|run| run[0] != run[10]));
    // And a picture at all: neither black nor flat.
    let mean: f64 = frames[0].y().iter().map(|y| f64::from(*y)).sum::<f64>() / frames[0].y().len() as f64;
    assert!((20.0..220.0).contains(&mean), "{mean}");
}

#[test]
fn parameter_sets_stand_before_key_frames() {
    let clip = clip();
    let mut keys = 0;
    for (index, unit) in clip.access_units().enumerate() {
        let unit = unit.unwrap();
        let kinds: Vec<u8> = nal_units(&unit.bytes).map(unit_type).collect();
        assert_eq!(unit.key, kinds.starts_with(&[7, 8]), "frame {index}: {kinds:?}");
        assert!(!kinds.is_empty());
        keys += usize::from(unit.key);
    }
    assert!(keys >= 1);
    assert!(clip.access_unit(190).is_err());
}

#[test]
fn a_clip_in_a_file_is_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("media/city.mp4");
    let file = Clip::open(&path).unwrap();
    let memory = clip();
    assert_eq!(file.frames(), memory.frames());
    assert_eq!(file.access_unit(100).unwrap(), memory.access_unit(100).unwrap());
}

#[test]
fn unreadable_says_which_file_and_why() {
    let error = Clip::open(Path::new("no/such.mp4")).err().unwrap();
    assert_eq!(error.kind(), Kind::Unreadable);
    assert!(error.to_string().contains("no/such.mp4") && error.to_string().contains("No such file"), "{error}");
    for no_file in ["/dev/null", env!("CARGO_MANIFEST_DIR")] {
        let error = Clip::open(Path::new(no_file)).err().unwrap();
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}

#[test]
fn empty_and_foreign_files_are_named() {
    assert_eq!(refused(b"").kind(), Kind::Empty);
    let error = refused(b"name = \"pipeline\"\n");
    assert_eq!(error.kind(), Kind::Malformed);
    assert!(error.to_string().contains("no MP4 file") && error.to_string().contains("H.264"), "{error}");
    // Only a front, as a download that broke early has it.
    let front = &Clip::DEFAULT[..find(Clip::DEFAULT, b"ftyp") + 28];
    let error = refused(front);
    assert!(error.to_string().contains("no box `moov`"), "{error}");
}

#[test]
fn a_truncated_clip_is_refused_wherever_it_ends() {
    let whole = Clip::DEFAULT;
    let ends = (1..200).map(|i| i * whole.len() / 200).chain(whole.len() - 40..whole.len()).chain(1..64);
    for end in ends {
        let error = refused(&whole[..end]);
        assert!(matches!(error.kind(), Kind::Truncated | Kind::Malformed), "{end}: {error}");
    }
    let error = refused(&whole[..whole.len() / 2]);
    assert_eq!(error.kind(), Kind::Truncated, "{error}");
    assert!(error.to_string().contains("box `mdat`") || error.to_string().contains("box `moov`"), "{error}");
}

#[test]
fn another_codec_is_named() {
    let mut bytes = Clip::DEFAULT.to_vec();
    // Behind version, flags, count, and the size of the entry.
    let at = find(&bytes, b"stsd") + 16;
    bytes[at..at + 4].copy_from_slice(b"xvid");
    let error = refused(&bytes);
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("no H.264 track, but `vide` of `xvid`"), "{error}");
}

#[test]
fn tables_that_lie_are_refused() {
    let change = |kind: &[u8; 4], offset: usize, value: u32| {
        let mut bytes = Clip::DEFAULT.to_vec();
        let at = find(&bytes, kind) + 4 + offset;
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        refused(&bytes)
    };
    // Behind version and flags: size for all, count, sizes.
    assert_eq!(change(b"stsz", 12, u32::MAX).kind(), Kind::Truncated);
    assert_eq!(change(b"stsz", 12, 0).kind(), Kind::Malformed);
    assert_eq!(change(b"stsz", 8, u32::MAX).kind(), Kind::Malformed);
    assert_eq!(change(b"stsz", 8, 0).kind(), Kind::Malformed);
    // The same size for four billion frames.
    let mut bytes = Clip::DEFAULT.to_vec();
    let at = find(&bytes, b"stsz") + 8;
    bytes[at..at + 8].copy_from_slice(&[0, 0, 0, 1, 255, 255, 255, 255]);
    assert!(matches!(refused(&bytes).kind(), Kind::Malformed));
    assert_eq!(change(b"stco", 8, u32::MAX).kind(), Kind::Truncated);
    assert_eq!(change(b"stts", 12, 0).kind(), Kind::Unsupported);
    assert_eq!(change(b"mdhd", 12, u32::MAX).kind(), Kind::Unsupported);
}

/// A file is a stranger's: whatever its index says, it is read or refused. (The codec is not asked: it is C++ and judged
/// elsewhere.)
#[test]
fn changed_bytes_never_panic() {
    let moov = find(Clip::DEFAULT, b"moov") - 4;
    let size = u32::from_be_bytes(Clip::DEFAULT[moov..moov + 4].try_into().unwrap()) as usize;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for round in 0..20_000 {
        // With its data a round takes a copy of a megabyte; without, the tables are walked up to the first frame.
        let length = if round % 16 == 0 { Clip::DEFAULT.len() } else { moov + size };
        let mut bytes = Clip::DEFAULT[..length].to_vec();
        for _ in 0..1 + round % 4 {
            let at = moov + random() % size;
            bytes[at] = match random() % 4 {
                0 => 0,
                1 => 255,
                2 => bytes[at] ^ (1 << (random() % 8)),
                _ => random() as u8,
            };
        }
        if let Ok(clip) = Clip::from_bytes("test.mp4", bytes) {
            let _ = clip.access_unit(0);
            let _ = clip.access_unit(clip.frames() - 1);
        }
    }
}
