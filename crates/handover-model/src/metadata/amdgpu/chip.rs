//! PCI ID → chip → GFX level. An ID that is not in the table stays unknown; nobody guesses a level.
//!
//! Origin: Linux 6.12, `amdgpu_drv.c:pciidlist` (303 IDs, to Navi24 and Rembrandt). Newer chips have no list in the kernel, which
//! reads their level from the chip; those rows follow libdrm 2.4.124, `amdgpu.ids`, and hwdata 0.394, `pci.ids`, with the level of
//! the code name in Mesa 25.0.7, `ac_gpu_info.c`. An ID can stand for several chips (0x67ff, 0x15d8, 0x15dd), told apart by a
//! revision that the metadata does not carry; all of them are of one level.

use alloc::format;
use core::fmt;
use core::str::FromStr;

use crate::{Error, Kind, Result, Stage};

/// PCI vendor of AMD, in the header of its blocks.
pub const VENDOR: u16 = 0x1002;

/// A generation of the graphics block. It selects the fields of word and block.
///
/// ```
/// use handover_model::metadata::amdgpu::Level;
/// assert_eq!(Level::Gfx10_3.to_string(), "GFX10.3");
/// assert_eq!("10.3".parse::<Level>()?, Level::Gfx10_3);
/// assert!(Level::Gfx9 < Level::Gfx10);
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Southern Islands.
    Gfx6,
    /// Sea Islands.
    Gfx7,
    /// Volcanic Islands and Polaris.
    Gfx8,
    /// Vega, its APUs, and the MI accelerators.
    Gfx9,
    /// RDNA 1.
    Gfx10,
    /// RDNA 2.
    Gfx10_3,
    /// RDNA 3.
    Gfx11,
    /// RDNA 3.5.
    Gfx11_5,
    /// RDNA 4.
    Gfx12,
}

impl Level {
    /// All levels, oldest first.
    pub const ALL: [Self; 9] = [
        Self::Gfx6,
        Self::Gfx7,
        Self::Gfx8,
        Self::Gfx9,
        Self::Gfx10,
        Self::Gfx10_3,
        Self::Gfx11,
        Self::Gfx11_5,
        Self::Gfx12,
    ];

    /// Its number: "9", "10.3".
    pub const fn number(self) -> &'static str {
        match self {
            Self::Gfx6 => "6",
            Self::Gfx7 => "7",
            Self::Gfx8 => "8",
            Self::Gfx9 => "9",
            Self::Gfx10 => "10",
            Self::Gfx10_3 => "10.3",
            Self::Gfx11 => "11",
            Self::Gfx11_5 => "11.5",
            Self::Gfx12 => "12",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GFX{}", self.number())
    }
}

impl FromStr for Level {
    type Err = Error;

    /// By number, with or without "GFX" before it.
    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix("GFX").or_else(|| text.strip_prefix("gfx")).unwrap_or(text);
        Self::ALL.into_iter().find(|level| level.number() == number).ok_or_else(|| {
            Error::new(Stage::Import, Kind::Invalid)
                .asked(format!("the GFX level {text:?}"))
                .help("6, 7, 8, 9, 10, 10.3, 11, 11.5 or 12")
        })
    }
}

/// One chip, or chips that share their PCI IDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip {
    /// Its code name.
    pub name: &'static str,
    /// Its level.
    pub level: Level,
    /// The kernel's number of its family (`AMDGPU_FAMILY_*` in `amdgpu_drm.h`).
    pub family: u16,
    ids: &'static [u16],
}

const fn row(name: &'static str, level: Level, family: u16, ids: &'static [u16]) -> Chip {
    Chip { name, level, family, ids }
}

impl Chip {
    /// The chip of this PCI ID, if the table has it.
    ///
    /// ```
    /// use handover_model::metadata::amdgpu::{Chip, Level};
    /// assert_eq!(Chip::of(0x73bf).map(|chip| (chip.name, chip.level)), Some(("Navi21", Level::Gfx10_3)));
    /// assert_eq!(Chip::of(0xfffe), None);
    /// ```
    pub fn of(pci_id: u16) -> Option<&'static Self> {
        CHIPS.iter().find(|chip| chip.ids.contains(&pci_id))
    }

    /// Every chip of the table.
    pub const fn all() -> &'static [Self] {
        CHIPS
    }

    /// Its PCI IDs.
    pub const fn ids(&self) -> &'static [u16] {
        self.ids
    }

    /// Does it read images through descriptors? MI300 does not: the descriptor in its blocks was filled as a buffer's, and
    /// SW_MODE and PITCH in it are 0 (Mesa, `ac_descriptors.c:ac_set_mutable_tex_desc_fields`).
    pub fn has_images(&self) -> bool {
        self.name != "MI300"
    }

    /// Does its DCC encode cleared blocks by themselves (CONSTANT_ENCODE)? Raven2, MI100 and newer do. `None` where the PCI ID
    /// stands for Raven, which does not, and for Raven2, which does.
    pub fn constant_encode(&self) -> Option<bool> {
        match (self.level, self.name) {
            (_, "Raven or Raven2") => None,
            (Level::Gfx9, "Vega10" | "Vega12" | "Vega20") => Some(false),
            (level, _) => Some(level >= Level::Gfx9),
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.level)
    }
}

const CHIPS: &[Chip] = &[
    row(
        "Tahiti",
        Level::Gfx6,
        110,
        &[0x6780, 0x6784, 0x6788, 0x678a, 0x6790, 0x6791, 0x6792, 0x6798, 0x6799, 0x679a, 0x679b, 0x679e, 0x679f],
    ),
    row(
        "Pitcairn",
        Level::Gfx6,
        110,
        &[0x6800, 0x6801, 0x6802, 0x6806, 0x6808, 0x6809, 0x6810, 0x6811, 0x6816, 0x6817, 0x6818, 0x6819],
    ),
    row(
        "Verde",
        Level::Gfx6,
        110,
        &[
            0x6820, 0x6821, 0x6822, 0x6823, 0x6824, 0x6825, 0x6826, 0x6827, 0x6828, 0x6829, 0x682a, 0x682b, 0x682c,
            0x682d, 0x682f, 0x6830, 0x6831, 0x6835, 0x6837, 0x6838, 0x6839, 0x683b, 0x683d, 0x683f,
        ],
    ),
    row(
        "Oland",
        Level::Gfx6,
        110,
        &[
            0x6600, 0x6601, 0x6602, 0x6603, 0x6604, 0x6605, 0x6606, 0x6607, 0x6608, 0x6610, 0x6611, 0x6613, 0x6617,
            0x6620, 0x6621, 0x6623, 0x6631,
        ],
    ),
    row("Hainan", Level::Gfx6, 110, &[0x6660, 0x6663, 0x6664, 0x6665, 0x6667, 0x666f]),
    row(
        "Bonaire",
        Level::Gfx7,
        120,
        &[0x6640, 0x6641, 0x6646, 0x6647, 0x6649, 0x6650, 0x6651, 0x6658, 0x665c, 0x665d, 0x665f],
    ),
    row(
        "Hawaii",
        Level::Gfx7,
        120,
        &[0x67a0, 0x67a1, 0x67a2, 0x67a8, 0x67a9, 0x67aa, 0x67b0, 0x67b1, 0x67b8, 0x67b9, 0x67ba, 0x67be],
    ),
    row(
        "Kaveri",
        Level::Gfx7,
        125,
        &[
            0x1304, 0x1305, 0x1306, 0x1307, 0x1309, 0x130a, 0x130b, 0x130c, 0x130d, 0x130e, 0x130f, 0x1310, 0x1311,
            0x1312, 0x1313, 0x1315, 0x1316, 0x1317, 0x1318, 0x131b, 0x131c, 0x131d,
        ],
    ),
    row(
        "Kabini",
        Level::Gfx7,
        125,
        &[
            0x9830, 0x9831, 0x9832, 0x9833, 0x9834, 0x9835, 0x9836, 0x9837, 0x9838, 0x9839, 0x983a, 0x983b, 0x983c,
            0x983d, 0x983e, 0x983f,
        ],
    ),
    row(
        "Mullins",
        Level::Gfx7,
        125,
        &[
            0x9850, 0x9851, 0x9852, 0x9853, 0x9854, 0x9855, 0x9856, 0x9857, 0x9858, 0x9859, 0x985a, 0x985b, 0x985c,
            0x985d, 0x985e, 0x985f,
        ],
    ),
    row("Topaz", Level::Gfx8, 130, &[0x6900, 0x6901, 0x6902, 0x6903, 0x6907]),
    row("Tonga", Level::Gfx8, 130, &[0x6920, 0x6921, 0x6928, 0x6929, 0x692b, 0x692f, 0x6930, 0x6938, 0x6939]),
    row("Fiji", Level::Gfx8, 130, &[0x7300, 0x730f]),
    row(
        "Polaris10",
        Level::Gfx8,
        130,
        &[0x67c0, 0x67c1, 0x67c2, 0x67c4, 0x67c7, 0x67c8, 0x67c9, 0x67ca, 0x67cc, 0x67cf, 0x67d0, 0x67df, 0x6fdf],
    ),
    row("Polaris11", Level::Gfx8, 130, &[0x67e0, 0x67e1, 0x67e3, 0x67e7, 0x67e8, 0x67e9, 0x67eb, 0x67ef, 0x67ff]),
    row("Polaris12", Level::Gfx8, 130, &[0x6980, 0x6981, 0x6985, 0x6986, 0x6987, 0x6995, 0x6997, 0x699f]),
    row("VegaM", Level::Gfx8, 130, &[0x694c, 0x694e, 0x694f]),
    row("Carrizo", Level::Gfx8, 135, &[0x9870, 0x9874, 0x9875, 0x9876, 0x9877]),
    row("Stoney", Level::Gfx8, 135, &[0x98e4]),
    row(
        "Vega10",
        Level::Gfx9,
        141,
        &[
            0x6860, 0x6861, 0x6862, 0x6863, 0x6864, 0x6867, 0x6868, 0x6869, 0x686a, 0x686b, 0x686c, 0x686d, 0x686e,
            0x686f, 0x687f,
        ],
    ),
    row("Vega12", Level::Gfx9, 141, &[0x69a0, 0x69a1, 0x69a2, 0x69a3, 0x69af]),
    row("Vega20", Level::Gfx9, 141, &[0x66a0, 0x66a1, 0x66a2, 0x66a3, 0x66a4, 0x66a7, 0x66af]),
    row("Raven or Raven2", Level::Gfx9, 142, &[0x15d8, 0x15dd]),
    row("Renoir", Level::Gfx9, 142, &[0x15e7, 0x1636, 0x1638, 0x164c]),
    row("MI100", Level::Gfx9, 141, &[0x7388, 0x738c, 0x738e, 0x7390]),
    row("MI200", Level::Gfx9, 141, &[0x7408, 0x740c, 0x740f, 0x7410]),
    row("Navi10", Level::Gfx10, 143, &[0x7310, 0x7312, 0x7318, 0x7319, 0x731a, 0x731b, 0x731e, 0x731f]),
    row("Navi12", Level::Gfx10, 143, &[0x7360, 0x7362]),
    row("Navi14", Level::Gfx10, 143, &[0x7340, 0x7341, 0x7347, 0x734f]),
    row("Cyan Skillfish", Level::Gfx10, 143, &[0x13fe, 0x143f]),
    row(
        "Navi21",
        Level::Gfx10_3,
        143,
        &[0x73a0, 0x73a1, 0x73a2, 0x73a3, 0x73a5, 0x73a8, 0x73a9, 0x73ab, 0x73ac, 0x73ad, 0x73ae, 0x73af, 0x73bf],
    ),
    row("Navi22", Level::Gfx10_3, 143, &[0x73c0, 0x73c1, 0x73c3, 0x73da, 0x73db, 0x73dc, 0x73dd, 0x73de, 0x73df]),
    row(
        "Navi23",
        Level::Gfx10_3,
        143,
        &[0x73e0, 0x73e1, 0x73e2, 0x73e3, 0x73e8, 0x73e9, 0x73ea, 0x73eb, 0x73ec, 0x73ed, 0x73ef, 0x73ff],
    ),
    row("Navi24", Level::Gfx10_3, 143, &[0x7420, 0x7421, 0x7422, 0x7423, 0x7424, 0x743f]),
    row("Rembrandt", Level::Gfx10_3, 146, &[0x164d, 0x1681]),
    row("VanGogh", Level::Gfx10_3, 144, &[0x163f, 0x1435]),
    row("Raphael", Level::Gfx10_3, 149, &[0x164e, 0x13c0]),
    row("Mendocino", Level::Gfx10_3, 151, &[0x1506]),
    row("Navi31", Level::Gfx11, 145, &[0x7448, 0x744a, 0x744c, 0x745e]),
    row("Navi32", Level::Gfx11, 145, &[0x7460, 0x7461, 0x7470, 0x747e]),
    row("Navi33", Level::Gfx11, 145, &[0x73f0, 0x7480, 0x7481, 0x7483, 0x7487, 0x7489, 0x748b, 0x7499]),
    row("Phoenix", Level::Gfx11, 148, &[0x15bf, 0x15c8, 0x164f, 0x1900, 0x1901]),
    row("Strix", Level::Gfx11_5, 150, &[0x150e, 0x1586, 0x1114]),
    row("Navi48", Level::Gfx12, 152, &[0x7550]),
    row("MI300", Level::Gfx9, 141, &[0x74a0, 0x74a1, 0x74a2, 0x74a5, 0x74a9, 0x74b5, 0x74bd]),
];
