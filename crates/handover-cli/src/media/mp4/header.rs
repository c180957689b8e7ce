//! The boxes at the front of a fragmented file: `ftyp` and `moov`.

use handover::Extent;
use mp4_atom::{
    Avc1, Avcc, AvccExt, Codec, Colr, Dinf, Dref, DrefEntry, Encode, Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mvex, Mvhd,
    Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url, Visual, Vmhd,
};

/// The one track of the file.
pub(super) const TRACK: u32 = 1;

/// `ftyp` and `moov` of a file with one H.264 track, no frames yet, more to come in fragments.
pub(super) fn encode(extent: Extent, timescale: u32, sequence: &[u8], picture: &[u8]) -> mp4_atom::Result<Vec<u8>> {
    let edge = |edge: u32| u16::try_from(edge).map_err(|_| mp4_atom::Error::InvalidSize);
    let (width, height) = (edge(extent.width().get())?, edge(extent.height().get())?);
    let mut avcc = Avcc::new(sequence, picture)?;
    // The profiles from High on must say their chroma and depth once more (ISO/IEC 14496-15, 5.3.3.1.2).
    if matches!(avcc.avc_profile_indication, 100 | 110 | 122 | 144) {
        avcc.ext = Some(AvccExt::default());
    }
    let entry = Avc1 {
        visual: Visual { data_reference_index: 1, width, height, ..Visual::default() },
        avcc,
        // BT.601, limited range (SMPTE 170M is its number), as `media::colour` has it.
        colr: Some(Colr::new(6, 6, 6, false)?),
        ..Avc1::default()
    };
    let stbl = Stbl { stsd: Stsd { codecs: vec![Codec::Avc1(entry)] }, stco: Some(Stco::default()), ..Stbl::default() };
    let minf = Minf {
        vmhd: Some(Vmhd::default()),
        dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } },
        stbl,
        ..Minf::default()
    };
    let mdia = Mdia {
        mdhd: Mdhd { timescale, language: "und".into(), ..Mdhd::default() },
        hdlr: Hdlr { handler: b"vide".into(), name: "handover".into() },
        minf,
    };
    let tkhd = Tkhd {
        track_id: TRACK,
        enabled: true,
        in_movie: true,
        width: width.into(),
        height: height.into(),
        ..Tkhd::default()
    };
    let moov = Moov {
        mvhd: Mvhd { timescale, rate: 1.into(), volume: 1.into(), next_track_id: TRACK + 1, ..Mvhd::default() },
        mvex: Some(Mvex {
            trex: vec![Trex { track_id: TRACK, default_sample_description_index: 1, ..Trex::default() }],
            ..Mvex::default()
        }),
        trak: vec![Trak { tkhd, mdia, ..Trak::default() }],
        ..Moov::default()
    };
    let ftyp = Ftyp {
        major_brand: b"iso6".into(),
        minor_version: 0,
        compatible_brands: vec![b"iso6".into(), b"avc1".into(), b"mp41".into()],
    };
    let mut bytes = Vec::new();
    ftyp.encode(&mut bytes)?;
    moov.encode(&mut bytes)?;
    Ok(bytes)
}
