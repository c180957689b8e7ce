//! Encoding H.264.

use handover::Extent;
use openh264::encoder::{
    BitRate, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};

use crate::media::{Error, I420, Kind, Rate, Result};

/// The codec's limits: 3840x2160 px, or that upright, and one macroblock.
const LONG_EDGE: u32 = 3840;
const SHORT_EDGE: u32 = 2160;
const LEAST_EDGE: u32 = 16;

/// From one key frame to the next.
const KEY_SECONDS: u64 = 2;

/// How often a picture is offered that the codec wants to skip. Ten seconds of its clock at 25 frames a second; a few are
/// seen at the lowest bit rates.
const MAX_OFFERS: u32 = 250;

/// One picture of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// NAL units in the byte stream of Annex B; before a key frame its parameter sets.
    pub bytes: Vec<u8>,
    /// Can a player start here?
    pub key: bool,
}

/// An encoder of one stream, made for latency: each picture comes out at once, in order (no B frames), none is skipped
/// to save bits, and every two seconds one is a key frame.
///
/// H.264 in 4:2:0 has even edges only, and the codec takes nothing below 16 pixels. A picture with an odd or a shorter edge
/// is extended by repeating its last column or row; the stream has the extent [`Encoder::coded_extent`].
pub struct Encoder {
    codec: openh264::encoder::Encoder,
    extent: Extent,
    coded: Extent,
    rate: Rate,
    count: u64,
    offers: u64,
    padded: Option<I420>,
}

impl Encoder {
    /// The extent of a stream of pictures of `extent`: odd edges made even, short ones as long as the codec needs.
    ///
    /// # Errors
    /// `Unsupported` beyond 3840x2160 px (either way up).
    pub fn coded(extent: Extent) -> Result<Extent> {
        let even = |edge: u32| edge.next_multiple_of(2).max(LEAST_EDGE);
        let (width, height) = (even(extent.width().get()), even(extent.height().get()));
        let coded = Extent::new(width, height)
            .ok()
            .filter(|_| width.max(height) <= LONG_EDGE && width.min(height) <= SHORT_EDGE);
        coded.ok_or_else(|| {
            Error::new(Kind::Unsupported, "the H.264 encoder", format!("pictures of {extent}"))
                .help(format!("at most {LONG_EDGE}x{SHORT_EDGE} px"))
        })
    }

    /// An encoder of pictures of `extent` at `rate`, with `bitrate` bits a second in the mean.
    ///
    /// # Errors
    /// `Unsupported` beyond 3840x2160 px (either way up); `Codec` if the codec cannot start.
    pub fn new(extent: Extent, rate: Rate, bitrate: u32) -> Result<Self> {
        let coded = Self::coded(extent)?;
        let config = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .profile(Profile::Baseline)
            .rate_control_mode(RateControlMode::Bitrate)
            .bitrate(BitRate::from_bps(bitrate))
            .max_frame_rate(FrameRate::from_hz(rate.hz() as f32))
            // We ask for key frames: the codec would count pictures it skipped.
            .intra_frame_period(IntraFramePeriod::auto())
            // Without it the codec complains on standard error that it cannot keep the bit rate. See `encode`.
            .skip_frames(true)
            // Both would put key frames, or blocks of an older picture, where this program's users do not expect them.
            .scene_change_detect(false)
            .background_detection(false)
            // The other processors belong to the other participants.
            .num_threads(1)
            .vui(VuiConfig::bt601());
        let codec = openh264::encoder::Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failed)?;
        let padded = (coded != extent).then(|| I420::new(coded));
        Ok(Self { codec, extent, coded, rate, count: 0, offers: 0, padded })
    }

    /// The extent of the stream: that of the pictures, with odd edges made even and short ones 16.
    pub fn coded_extent(&self) -> Extent {
        self.coded
    }

    /// Encodes the next picture.
    ///
    /// # Errors
    /// `Malformed` if the picture has another extent than the encoder; `Codec` if the codec fails or gives nothing.
    pub fn encode(&mut self, picture: &I420) -> Result<AccessUnit> {
        if picture.extent() != self.extent {
            let found = format!("a picture of {} for an encoder of {}", picture.extent(), self.extent);
            return Err(Error::new(Kind::Malformed, "the picture", found));
        }
        let picture = match &mut self.padded {
            Some(padded) => {
                padded.copy_replicated(picture);
                padded
            }
            None => picture,
        };
        let (luma, chroma) = (picture.width(), picture.chroma_width());
        let planes = (picture.y(), picture.u(), picture.v());
        let source = YUVSlices::new(planes, (luma, picture.height()), (luma, chroma, chroma));
        // The first is one anyway, and the codec is not ready before it.
        if self.count > 0 && self.count.is_multiple_of(self.rate.frame_at(KEY_SECONDS)) {
            self.codec.force_intra_frame();
        }
        // Where bits run out the codec skips a picture. Ours all count, so it is offered again: to the codec it looks like
        // a scene that stands still, and it takes it once its budget has recovered.
        for _ in 0..MAX_OFFERS {
            let time = u64::try_from(self.rate.time_of(self.offers).as_millis()).unwrap_or(u64::MAX);
            self.offers = self.offers.saturating_add(1);
            let stream = self.codec.encode_at(&source, Timestamp::from_millis(time)).map_err(failed)?;
            let bytes = stream.to_vec();
            if !bytes.is_empty() {
                self.count = self.count.saturating_add(1);
                return Ok(AccessUnit { bytes, key: matches!(stream.frame_type(), FrameType::IDR) });
            }
        }
        Err(Error::new(Kind::Codec, "the H.264 encoder", format!("a picture was skipped {MAX_OFFERS} times"))
            .help("a higher bit rate"))
    }
}

fn failed(error: openh264::Error) -> Error {
    Error::new(Kind::Codec, "the H.264 encoder", format!("openh264 says {}", error.native_code()))
}
