//! Videos: what is encoded decodes to the same, and a file is whole after every frame.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{self, Write};

use handover::Extent;
use handover_cli::media::h264::{AccessUnit, Decoder, Encoder, Frames, nal_units, unit_type};
use handover_cli::media::mp4::{Clip, Writer};
use handover_cli::media::{I420, Kind, Rate};

fn frames(count: usize) -> Vec<I420> {
    let clip = Clip::from_bytes(Clip::DEFAULT_NAME, Clip::DEFAULT).unwrap();
    Frames::new(&clip).unwrap().take(count).map(Result::unwrap).collect()
}

fn encode(frames: &[I420], bitrate: u32) -> Vec<AccessUnit> {
    let mut encoder = Encoder::new(frames[0].extent(), Rate::DEFAULT, bitrate).unwrap();
    frames.iter().map(|frame| encoder.encode(frame).unwrap()).collect()
}

fn decode(units: &[AccessUnit]) -> Vec<I420> {
    let mut decoder = Decoder::new().unwrap();
    let mut pictures: Vec<I420> = units.iter().filter_map(|unit| decoder.decode(&unit.bytes).unwrap()).collect();
    pictures.extend(decoder.finish().unwrap());
    pictures
}

fn mean_psnr(a: &[I420], b: &[I420]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.luma_psnr(b).unwrap()).sum::<f64>() / a.len() as f64
}

fn write(units: &[AccessUnit], extent: Extent) -> Vec<u8> {
    let mut writer = Writer::new("test.mp4", Vec::new(), extent, Rate::DEFAULT);
    for unit in units {
        writer.push(unit).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn every_frame_comes_out_and_more_bits_come_closer() {
    let clip = frames(60);
    let (low, high) = (encode(&clip, 400_000), encode(&clip, 6_000_000));
    for units in [&low, &high] {
        assert_eq!(units.len(), clip.len());
        // A key frame every two seconds, with its parameter sets; no B frames, so that order is time.
        let keys: Vec<usize> = (0..units.len()).filter(|index| units[*index].key).collect();
        assert_eq!(keys, [0, 50]);
        let kinds: Vec<u8> = nal_units(&units[50].bytes).map(unit_type).collect();
        assert_eq!(kinds, [7, 8, 5]);
    }
    let (low, high) = (decode(&low), decode(&high));
    assert_eq!((low.len(), high.len()), (clip.len(), clip.len()));
    let (low_psnr, high_psnr) = (mean_psnr(&clip, &low), mean_psnr(&clip, &high));
    println!("400 kb/s {low_psnr:.1} dB, 6 Mb/s {high_psnr:.1} dB");
    assert!(high_psnr > 36.0 && high_psnr > low_psnr + 2.0 && low_psnr > 24.0, "{low_psnr} {high_psnr}");
    // Decoded frame k is frame k and no neighbour.
    for (index, picture) in high.iter().enumerate() {
        let closest = (index.saturating_sub(3)..clip.len().min(index + 4)).max_by(|a, b| {
            f64::total_cmp(&clip[*a].luma_psnr(picture).unwrap(), &clip[*b].luma_psnr(picture).unwrap())
        });
        let own = clip[index].luma_psnr(picture).unwrap();
        assert!(
            closest == Some(index) || clip[closest.unwrap()].luma_psnr(&clip[index]).unwrap() > own,
            "{index} {closest:?}"
        );
    }
}

#[test]
fn bits_stay_near_what_was_asked() {
    let clip = frames(100);
    for bitrate in [100_000, 400_000, 3_000_000, 6_000_000] {
        let start = std::time::Instant::now();
        let units = encode(&clip, bitrate);
        let per_frame = start.elapsed() / 100;
        let bits: usize = units.iter().map(|unit| unit.bytes.len() * 8).sum();
        let rate = bits / 4;
        println!("asked {bitrate}, got {rate}, {per_frame:?} a frame");
        let keys: Vec<usize> = (0..units.len()).filter(|index| units[*index].key).collect();
        assert_eq!(keys, [0, 50], "asked {bitrate}");
        // The lowest is less than this clip can be made with; the codec's coarsest picture it is, and whole.
        assert!(bitrate < 400_000 || rate < bitrate as usize * 3 / 2, "asked {bitrate}, got {rate}");
        assert!(rate > bitrate as usize / 4, "asked {bitrate}, got {rate}");
    }
}

#[test]
fn odd_edges_are_extended() {
    for (width, height) in [(37, 21), (1, 1), (2, 2), (16, 16), (719, 403), (500, 3)] {
        let extent = Extent::new(width, height).unwrap();
        let mut encoder = Encoder::new(extent, Rate::DEFAULT, 500_000).unwrap();
        let coded = encoder.coded_extent();
        let edge = |edge: u32| edge.next_multiple_of(2).max(16);
        assert_eq!((coded.width().get(), coded.height().get()), (edge(width), edge(height)));
        let unit = encoder.encode(&I420::new(extent)).unwrap();
        let pictures = decode(&[unit]);
        assert_eq!(pictures.len(), 1, "{extent}");
        assert_eq!(pictures[0].extent(), coded);
    }
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let extent = |width, height| Extent::new(width, height).unwrap();
    let error = Encoder::new(extent(3842, 100), Rate::DEFAULT, 1_000_000).err().unwrap();
    assert_eq!(error.kind(), Kind::Unsupported);
    let mut encoder = Encoder::new(extent(64, 64), Rate::DEFAULT, 1_000_000).unwrap();
    assert_eq!(encoder.encode(&I420::new(extent(64, 62))).err().unwrap().kind(), Kind::Malformed);
}

#[test]
fn garbage_is_no_stream() {
    let mut decoder = Decoder::new().unwrap();
    assert!(matches!(decoder.decode(&[0, 0, 0, 1, 0x65, 1, 2, 3, 4, 5]), Err(_) | Ok(None)));
    assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
    assert_eq!(nal_units(&[0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 9]).collect::<Vec<_>>(), [&[9]]);
}

/// What was written before a kill is a file that plays to its last frame, wherever between two frames that was.
#[test]
fn a_file_is_whole_after_every_frame() {
    let clip = frames(12);
    let units = encode(&clip, 2_000_000);
    let mut writer = Writer::new("test.mp4", Vec::new(), clip[0].extent(), Rate::DEFAULT);
    let mut ends = Vec::new();
    for unit in &units {
        writer.push(unit).unwrap();
        assert_eq!(writer.frames() as usize, ends.len() + 1);
        // The writer's own memory is not to be seen before the end; what it has so far is told by a second one.
        ends.push(write(&units[..=ends.len()], clip[0].extent()).len());
    }
    let whole = writer.finish().unwrap();
    assert_eq!(whole.len(), *ends.last().unwrap());
    for (index, end) in ends.iter().enumerate() {
        let cut = Clip::from_bytes("cut.mp4", whole[..*end].to_vec()).unwrap();
        assert_eq!((cut.frames(), cut.extent(), cut.rate()), (index + 1, clip[0].extent(), Rate::DEFAULT));
        let pictures: Vec<I420> = Frames::new(&cut).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(pictures, decode(&units[..=index]));
    }
}

#[test]
fn boxes_of_a_written_file() {
    let clip = frames(3);
    let bytes = write(&encode(&clip, 1_000_000), clip[0].extent());
    let mut kinds = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((head, _)) = rest.split_at_checked(8) {
        let size = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        kinds.push(String::from_utf8(head[4..].to_vec()).unwrap());
        rest = &rest[size..];
    }
    assert!(rest.is_empty());
    assert_eq!(kinds, ["ftyp", "moov", "moof", "mdat", "moof", "mdat", "moof", "mdat"]);
}

/// Counts writes, and refuses after some.
struct Pipe {
    writes: usize,
    allowed: usize,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.writes == self.allowed {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.writes += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_frame_is_one_write_and_a_full_disk_is_told_once_and_for_all() {
    let clip = frames(3);
    let units = encode(&clip, 1_000_000);
    let mut writer = Writer::new("disk.mp4", Pipe { writes: 0, allowed: 2 }, clip[0].extent(), Rate::DEFAULT);
    writer.push(&units[0]).unwrap();
    writer.push(&units[1]).unwrap();
    let error = writer.push(&units[2]).unwrap_err();
    assert!(error.to_string().contains("disk.mp4"), "{error}");
    assert!(writer.push(&units[2]).unwrap_err().to_string().contains("earlier write"));
    assert_eq!(writer.frames(), 2);
    assert!(writer.finish().is_none());
}

#[test]
fn a_file_appears_with_its_first_frame() {
    let clip = frames(2);
    let units = encode(&clip, 1_000_000);
    let path = std::env::temp_dir().join(format!("handover-video-{}.mp4", std::process::id()));
    std::fs::write(&path, b"old").unwrap();
    let mut writer = Writer::create(&path, clip[0].extent(), Rate::DEFAULT).unwrap();
    assert!(!path.exists());
    assert_eq!(writer.push(&units[1]).unwrap_err().kind(), Kind::Malformed);
    assert!(!path.exists());
    writer.push(&units[0]).unwrap();
    assert_eq!(Clip::open(&path).unwrap().frames(), 1);
    writer.push(&units[1]).unwrap();
    assert!(writer.finish().is_some());
    assert_eq!(Clip::open(&path).unwrap().frames(), 2);
    std::fs::remove_file(&path).unwrap();
}
