//! Devices: simulated ones, which say so wherever they show, and [`Device::DRIVER`] for real ones.
//!
//! A device is what a vendor's driver is to a real surface: it knows which layouts it can make, which of other devices'
//! layouts it can read, what it writes into the metadata, and how pixels lie in memory.

pub(crate) mod amdgpu;
mod chips;
mod codec;
mod gfx8;
pub(crate) mod habits;
mod implicit;
mod linear;
mod maps;
mod offers;
mod states;
pub(crate) mod tiled;

use std::fmt;

use handover_model::import::amdgpu::Step;
use handover_model::layout::blocks;
use handover_model::layout::tiling::{Parameters, Plane, Tiling};
use handover_model::metadata::blocks as simulated;
use handover_model::modifier::Parsed;
use handover_model::{Bytes, Format, Header, Layout, Metadata, Modifier, Stage};

use crate::allocate::Display;
use crate::backend::memory::Cpu;
use crate::error::{Error, Kind, Result};
use amdgpu::Arrival;
use chips::Chip;
pub(crate) use codec::{At, Codec, opaque, outside};
pub use habits::Habit;
use tiled::Engine;

/// Whose rules a surface is read and written by on this side: those of a simulated device, or of a real one's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    profile: Profile,
    engine: Engine,
    /// Can it read the layout of `blocks`, with its compression, besides its own?
    decodes_blocks: bool,
    /// Can it read whatever a modifier determines, of any vendor? Not what is compressed.
    decodes_determined: bool,
    /// GB_ADDR_CONFIG of AMD producers elsewhere.
    config: Option<u32>,
    /// Its decoder reads wrong on purpose: this bit of every address is inverted.
    flipped: Option<u32>,
    /// What it does that its offers do not tell.
    habit: Option<Habit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Profile {
    Plain,
    Blocks,
    Chip(&'static Chip),
    Driver,
}

impl Device {
    /// `plain`: linear layouts only, and it reads nothing else.
    pub const PLAIN: Self = Self::of(Profile::Plain);
    /// `blocks`: tiled, with a compression plane.
    pub const BLOCKS: Self = Self::of(Profile::Blocks);
    /// `vega10`: AMD, GFX9.
    pub const VEGA10: Self = Self::chip(&chips::VEGA10);
    /// `navi21`: AMD, GFX10.3.
    pub const NAVI21: Self = Self::chip(&chips::NAVI21);
    /// `polaris10`: AMD, GFX8, whose tiles have no modifiers: [`allocate::implicit`](crate::allocate::implicit).
    pub const POLARIS10: Self = Self::chip(&chips::POLARIS10);
    /// `tigerlake`: Intel, gen 12.
    pub const TIGERLAKE: Self = Self::chip(&chips::TIGERLAKE);
    /// `turing`: NVIDIA.
    pub const TURING: Self = Self::chip(&chips::TURING);

    /// A real device. Its driver makes and reads the layouts of its modifiers, so it is the driver that says what it can do: with
    /// this alone a surface is linear, or out of the CPU's reach.
    pub const DRIVER: Self = Self::of(Profile::Driver);

    const fn of(profile: Profile) -> Self {
        Self {
            profile,
            engine: Engine::Renderer,
            decodes_blocks: false,
            decodes_determined: false,
            config: None,
            flipped: None,
            habit: None,
        }
    }

    const fn chip(chip: &'static Chip) -> Self {
        Self::of(Profile::Chip(chip))
    }

    /// The display of this chip: it makes nothing and writes nothing, and of compressed layouts reads those that have DCC for a display, by
    /// that DCC, as somebody left it. It has the habits of the chip, the register that the chip [knows](Self::with_gb_addr_config), and no
    /// decoders: a display does not learn. `None` where no display is simulated: for what is no chip of AMD's, and for GFX8, which has none
    /// of its own because its tiles are always those of a display.
    ///
    /// ```
    /// use handover::{Device, Format};
    /// let display = Device::NAVI21.display().unwrap();
    /// let read = Device::NAVI21.modifiers(Format::XRGB8888).into_iter().filter(|modifier| display.reads(*modifier));
    /// assert_eq!(read.filter(|modifier| modifier.parse().unwrap().is_compressed()).count(), 2);
    /// assert_eq!((display.name(), Device::TURING.display()), ("navi21+display".into(), None));
    /// ```
    pub const fn display(self) -> Option<Self> {
        match self.profile {
            Profile::Chip(chip) if chip.has_display() => {
                let (decodes_blocks, decodes_determined, flipped) = (false, false, None);
                Some(Self { engine: Engine::Display, decodes_blocks, decodes_determined, flipped, ..self })
            }
            _ => None,
        }
    }

    /// Does it only read?
    pub(crate) const fn only_reads(self) -> bool {
        matches!(self.engine, Engine::Display)
    }

    /// The same device, whose driver has learnt to read the layout of `blocks`. A display learns nothing, nor does `blocks` itself: they
    /// stay as they are.
    #[must_use]
    pub const fn with_blocks_decoder(self) -> Self {
        let is_blocks = matches!(self.profile, Profile::Blocks);
        Self { decodes_blocks: !is_blocks && !self.only_reads(), ..self }
    }

    /// The same device, whose driver has learnt to read every layout that its modifier fully determines, whoever made it
    /// ([`tiling`](handover_model::layout::tiling)). What is compressed stays with those who made it. A
    /// display learns nothing: it stays as it is.
    #[must_use]
    pub const fn with_decoder(self) -> Self {
        Self { decodes_determined: !self.only_reads(), ..self }
    }

    /// The same device, which knows the register GB_ADDR_CONFIG of the AMD device whose surfaces it gets without a modifier. The PCI ID in
    /// their metadata gives it for a few chips alone, and without it their layout is not determined. One that contradicts such a chip is
    /// refused at import.
    #[must_use]
    pub const fn with_gb_addr_config(self, register: u32) -> Self {
        Self { config: Some(register), ..self }
    }

    /// The same device, whose decoder inverts one bit of the address of every element: a fault for tests, which must show. A bit outside
    /// the tiles of a layout is refused where that is read. Of a display, what it reads by itself is read wrong.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_flipped_bit(self, bit: u32) -> Self {
        Self { flipped: Some(bit), ..self.with_decoder() }
    }

    /// Does it read every layout that its modifier determines ([`with_decoder`](Self::with_decoder))?
    pub const fn has_decoder(self) -> bool {
        self.decodes_determined
    }

    /// Every simulated device, without decoders.
    pub fn simulated() -> impl Iterator<Item = Self> {
        [Self::PLAIN, Self::BLOCKS].into_iter().chain(chips::ALL.map(Self::chip))
    }

    /// The simulated device of this name: "plain", "blocks", "polaris10", "vega10", "navi21", "tigerlake" or "turing". Behind it, in this
    /// order, each with a "+" before it: "blocks", with [that decoder](Self::with_blocks_decoder); "decode", with
    /// [one for everybody's](Self::with_decoder); "display", [its display](Self::display); the [word](Habit::word) of a habit.
    /// "navi21+decode+lost-after=3" is one. Every [`name`](Self::name) is read back; no name tells of
    /// [GB_ADDR_CONFIG](Self::with_gb_addr_config).
    pub fn from_name(name: &str) -> Option<Self> {
        let mut words = name.split('+');
        let bare = words.next()?;
        let device = Self::simulated().find(|device| device.name() == bare)?;
        let device = words.try_fold(device, |device, word| match word {
            "blocks" => Some(device.with_blocks_decoder()),
            "decode" => Some(device.with_decoder()),
            "display" => device.display(),
            word => Habit::from_word(word).map(|habit| device.with_habit(habit)),
        })?;
        // What was said in another order, twice or in vain is not its name.
        (device.name() == name).then_some(device)
    }

    /// Is it simulated?
    pub const fn is_simulated(self) -> bool {
        !matches!(self.profile, Profile::Driver)
    }

    /// Is it simulated, and does it stand for a real chip?
    pub const fn is_chip(self) -> bool {
        matches!(self.profile, Profile::Chip(_))
    }

    /// The name without the remark that it is simulated.
    pub fn name(self) -> String {
        let profile = match self.profile {
            Profile::Plain => "plain",
            Profile::Blocks => "blocks",
            Profile::Chip(chip) => chip.name,
            Profile::Driver => "driver",
        };
        let blocks = if self.decodes_blocks { "+blocks" } else { "" };
        let decode = if self.decodes_determined { "+decode" } else { "" };
        let display = if self.only_reads() { "+display" } else { "" };
        let habit = self.habit.map(|habit| format!("+{}", habit.word())).unwrap_or_default();
        format!("{profile}{blocks}{decode}{display}{habit}")
    }

    /// What it stands for, in a few words: "AMD Vega10, GFX9".
    pub const fn product(self) -> &'static str {
        match self.profile {
            Profile::Plain => "rows of pixels and nothing else",
            Profile::Blocks => "8x8 tiles and a compression of our own",
            Profile::Chip(chip) => chip.product,
            Profile::Driver => "a real device",
        }
    }

    /// What heads its metadata: vendor, PCI ID and version. `None`: its driver says that, or nobody.
    pub fn header(self) -> Option<Header> {
        match self.profile {
            Profile::Plain => Some(simulated::PLAIN_HEADER),
            Profile::Blocks => Some(simulated::BLOCKS_HEADER),
            Profile::Chip(chip) => Some(chip.header()),
            Profile::Driver => None,
        }
    }

    /// What it makes of this format, the best first; a display nothing.
    pub fn modifiers(self, format: Format) -> Vec<Modifier> {
        match self.profile {
            Profile::Plain | Profile::Driver => vec![Modifier::LINEAR],
            Profile::Blocks if blocks::supports(format) => vec![Modifier::SIM_BLOCKS, Modifier::LINEAR],
            Profile::Blocks => vec![Modifier::LINEAR],
            Profile::Chip(_) if self.only_reads() => Vec::new(),
            Profile::Chip(chip) => chip.modifiers(format).collect(),
        }
    }

    /// Can it make surfaces with this modifier?
    pub fn makes(self, modifier: Modifier) -> bool {
        match self.profile {
            Profile::Plain | Profile::Driver => modifier == Modifier::LINEAR,
            Profile::Blocks => matches!(modifier, Modifier::LINEAR | Modifier::SIM_BLOCKS),
            Profile::Chip(chip) => !self.only_reads() && chip.makes(modifier),
        }
    }

    /// Can it read surfaces with this modifier? Of a real device's own modifiers only its driver knows; none is refused here.
    pub fn reads(self, modifier: Modifier) -> bool {
        match (modifier, self.profile) {
            (Modifier::LINEAR, _) => true,
            (Modifier::SIM_BLOCKS, profile) => self.decodes_blocks || profile == Profile::Blocks,
            (_, Profile::Driver) => true,
            (_, Profile::Chip(chip)) if self.only_reads() => chip.shows(modifier),
            (_, Profile::Chip(chip)) if chip.makes(modifier) => true,
            _ => self.decodes_determined && is_determined(modifier),
        }
    }

    /// Can it read a stranger's surface with this modifier, of which no metadata of ours tells? The compression of simulated devices is
    /// not that of real ones.
    pub(crate) fn takes_strangers(self, modifier: Modifier) -> bool {
        let is_ours = modifier == Modifier::SIM_BLOCKS || (self.is_simulated() && is_compressed(modifier));
        self.reads(modifier) && !is_ours
    }

    /// Is a surface of any use that only real devices reach?
    pub(crate) fn needs_cpu(self) -> Cpu {
        if self.is_simulated() { Cpu::Needed } else { Cpu::IfPossible }
    }

    /// The metadata this device writes for a surface with this layout.
    pub(crate) fn describe(self, layout: &Layout, display: Display) -> Result<Metadata> {
        if let Profile::Chip(chip) = self.profile {
            return chip.describe(layout, display != Display::None);
        }
        let block = match simulated::BlocksMetadata::of(layout, tiled::DEFAULT_CLEAR) {
            Some(blocks) => blocks.encode()?,
            // The layout of a linear surface is in its handle; the header says whose it is.
            None => self.header().map(Header::alone).unwrap_or_default(),
        };
        Ok(Metadata { block, ..Metadata::default() })
    }

    /// How to read a surface of another producer: from its modifier and metadata, or not at all. Never by guessing.
    ///
    /// With the codec, the layout as the metadata has it (compression may have been dropped since the handle was made), and what the
    /// driver of a chip of AMD's did for it.
    pub(crate) fn decoder(self, arrival: &Arrival<'_>) -> Result<(Codec, Layout, Vec<Step>)> {
        let Arrival { handed, metadata, registry, .. } = arrival;
        let layout = match handed.modifier() {
            Modifier::INVALID if self.is_simulated() => &implicit::layout(self, handed, metadata, registry)?,
            _ => *handed,
        };
        let modifier = layout.modifier();
        let steps = self.plan_import(arrival, layout)?;
        if modifier == Modifier::LINEAR {
            return Ok((Codec::Linear(*layout), *layout, steps));
        }
        self.check_size(layout, Stage::Import)?;
        // What has no modifier was found readable where its metadata was.
        if layout.gfx8().is_none() && !self.reads(modifier) {
            return Err(self.refusal(modifier, metadata));
        }
        if self.is_simulated() && is_compressed(modifier) && !layout.has_compression() {
            return Err(Error::new(Stage::Import, Kind::Malformed)
                .asked(format!("an import of {modifier} on device {self}"))
                .found(format!("{} planes", layout.planes().len()))
                .why("a compressed layout has a plane of compression data, and one of pixels"));
        }
        let (layout, clear) = match self.profile {
            Profile::Driver => return Ok((Codec::Opaque(modifier), *layout, steps)),
            _ if modifier == Modifier::SIM_BLOCKS => {
                let blocks = simulated::BlocksMetadata::decode(&metadata.block)?;
                (blocks.apply(layout)?, blocks.clear_colour)
            }
            _ => (*layout, tiled::DEFAULT_CLEAR),
        };
        let codec = match self.flipped {
            Some(bit) if !self.makes(modifier) => tiled::Codec::with_flipped_bit(&layout, bit, clear, self.engine)?,
            _ => tiled::Codec::of(&layout, clear, self.engine)?,
        };
        Ok((Codec::Tiled(codec), layout, steps))
    }

    fn refusal(self, modifier: Modifier, metadata: &Metadata) -> Error {
        let header = metadata.block.header();
        let producer = header.map_or("a producer that left no metadata".to_owned(), |header| header.to_string());
        let refusal = Error::new(Stage::Import, Kind::Unsupported)
            .asked(format!("an import of {modifier} on device {self}"))
            .found(format!("content of {producer}"));
        match is_compressed(modifier) {
            true if self.only_reads() => refusal
                .why("compressed: a display reads no DCC but what was made for it")
                .help("negotiate a modifier with DCC_RETILE that it shows, or one without compression"),
            true => refusal
                .why("compressed: its producer has to resolve it first, nobody else knows the compression")
                .help("negotiate a modifier without compression"),
            false => refusal
                .why("this device has no decoder for that layout")
                .help("negotiate a modifier both sides know, or import on a device that decodes it"),
        }
    }

    /// How the producer itself reads and writes a surface it made.
    pub(crate) fn own_codec(self, layout: &Layout) -> Result<Codec> {
        match layout.modifier() {
            Modifier::LINEAR => Ok(Codec::Linear(*layout)),
            modifier if self.profile == Profile::Driver => Ok(Codec::Opaque(modifier)),
            _ => tiled::Codec::of(layout, tiled::DEFAULT_CLEAR, Engine::Renderer).map(Codec::Tiled),
        }
    }
}

/// Are pixels of this modifier valid only after somebody resolved them?
pub(crate) fn is_compressed(modifier: Modifier) -> bool {
    modifier.parse().is_ok_and(|parsed| parsed.is_compressed())
}

/// Has it compression data twice, once for a display?
pub(crate) fn has_display_dcc(modifier: Modifier) -> bool {
    match modifier.parse() {
        Ok(Parsed::Amd(amd)) => amd.dcc.is_some_and(|dcc| dcc.retile),
        _ => false,
    }
}

/// Does the modifier alone say where every pixel is?
fn is_determined(modifier: Modifier) -> bool {
    // The order in which planes come does not matter to that, nor the size of an element where some size has the layout.
    let parameters = Parameters { plane: Some(Plane::Luma), ..Parameters::default() };
    [1, 2, 4, 8, 16]
        .into_iter()
        .any(|bytes| Tiling::of(modifier, Bytes(bytes), &parameters).is_ok_and(|tiling| !tiling.is_compressed()))
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        f.write_str(if self.is_simulated() { " (simulated)" } else { "" })
    }
}
