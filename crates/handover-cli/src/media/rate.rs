//! Frames a second, as a fraction.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Frames a second as a reduced fraction: 25/1, 30000/1001. Never zero, never more than [`Rate::MAX`].
///
/// ```
/// use handover_cli::media::Rate;
/// let ntsc: Rate = "30000/1001".parse()?;
/// assert_eq!(ntsc.time_of(30).as_millis(), 1001);
/// assert_eq!(ntsc.to_string(), "29.97");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    frames: u32,
    seconds: u32,
}

impl Rate {
    /// The highest rate taken, in frames a second. Above it one frame is less than two milliseconds.
    pub const MAX: u32 = 600;

    /// 25 frames a second: what a pipeline without a clip runs at.
    pub const DEFAULT: Self = Self { frames: 25, seconds: 1 };

    /// `frames` in `seconds`. `None` for a zero, for more than [`Rate::MAX`] and for less than one frame in ten seconds.
    pub fn new(frames: u32, seconds: u32) -> Option<Self> {
        let wide = |n: u32| u64::from(n);
        if frames == 0
            || seconds == 0
            || wide(frames) > wide(seconds) * wide(Self::MAX)
            || wide(seconds) > wide(frames) * 10
        {
            return None;
        }
        let divisor = gcd(frames, seconds);
        Some(Self { frames: frames / divisor, seconds: seconds / divisor })
    }

    /// The numerator: frames in [`Rate::seconds`].
    pub fn frames(self) -> u32 {
        self.frames
    }

    /// The denominator.
    pub fn seconds(self) -> u32 {
        self.seconds
    }

    /// As a number.
    pub fn hz(self) -> f64 {
        f64::from(self.frames) / f64::from(self.seconds)
    }

    /// When frame `index` starts, from the start of frame 0. Saturates after 580 years.
    pub fn time_of(self, index: u64) -> Duration {
        let nanos = u128::from(index) * u128::from(self.seconds) * 1_000_000_000 / u128::from(self.frames);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The frame that is shown at full second `second`: the first that starts at it or after it.
    pub fn frame_at(self, second: u64) -> u64 {
        let frames = (u128::from(second) * u128::from(self.frames)).div_ceil(u128::from(self.seconds));
        u64::try_from(frames).unwrap_or(u64::MAX)
    }

    /// The second that frame `index` starts in.
    pub fn second_of(self, index: u64) -> u64 {
        let second = u128::from(index) * u128::from(self.seconds) / u128::from(self.frames);
        u64::try_from(second).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seconds == 1 { write!(f, "{}", self.frames) } else { write!(f, "{:.2}", self.hz()) }
    }
}

impl FromStr for Rate {
    type Err = String;

    /// "25" or "30000/1001".
    fn from_str(text: &str) -> Result<Self, String> {
        let (frames, seconds) = text.split_once('/').unwrap_or((text, "1"));
        let number = |part: &str| part.trim().parse::<u32>().ok();
        number(frames).zip(number(seconds)).and_then(|(frames, seconds)| Self::new(frames, seconds)).ok_or_else(|| {
            format!("{text:?} is no frame rate; a rate is \"25\" or \"30000/1001\", from 0.1 to {}", Self::MAX)
        })
    }
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
