//! What a modifier does not say, as `--param NAME=VALUE` gives it.

use handover::layout::tiling::{ArrayMode, Gfx8, MicroTile, Parameters, Plane, Qualcomm, SupertileOrder};
use handover::{Bytes, Error};

/// The names there are, and how a value of each is written.
const FORMS: [(&str, &str); 6] = [
    ("plane", "luma or chroma"),
    ("intel_bit6", "yes or no"),
    ("vivante_supertile", "2x4 or z"),
    ("sand_first_row", "a number of rows"),
    ("qualcomm", "BANK_BIT,LEVELS,CHANNELS, such as 15,6,8"),
    (
        "amd_gfx8",
        "MODE,MICRO,PIPE_CONFIG,PIPES,BANKS,BANK_WIDTH,BANK_HEIGHT,ASPECT,TILE_SPLIT, such as 2d,thin,12,8,16,1,4,4,512",
    ),
];

/// Reads all of them; a later one replaces an earlier one of its name.
pub(crate) fn read(texts: &[String]) -> Result<Parameters, String> {
    let mut parameters = Parameters::default();
    let names = || FORMS.map(|(name, _)| name).join(", ");
    for text in texts {
        let Some((name, value)) = text.split_once('=') else {
            return Err(format!("--param {text}: a name, =, and a value; the names are {}", names()));
        };
        let Some((_, form)) = FORMS.into_iter().find(|(known, _)| *known == name) else {
            return Err(format!("--param {text}: there is no {name}; the names are {}", names()));
        };
        set(&mut parameters, name, value).ok_or_else(|| format!("--param {text}: {name} is {form}"))?;
    }
    Ok(parameters)
}

/// Sets one. `None`: the value is none of it.
fn set(parameters: &mut Parameters, name: &str, value: &str) -> Option<()> {
    match name {
        "plane" => parameters.plane = Some(word(value, &[("luma", Plane::Luma), ("chroma", Plane::Chroma)])?),
        "intel_bit6" => parameters.intel_bit6 = Some(word(value, &[("yes", true), ("no", false)])?),
        "vivante_supertile" => {
            let orders = [("2x4", SupertileOrder::TwoByFour), ("z", SupertileOrder::ZOrder)];
            parameters.vivante_supertile = Some(word(value, &orders)?);
        }
        "sand_first_row" => parameters.sand_first_row = Some(value.parse().ok()?),
        "qualcomm" => parameters.qualcomm = Some(qualcomm(value)?),
        _ => parameters.amd_gfx8 = Some(gfx8(value)?),
    }
    Some(())
}

/// A refusal in words, with the option that gives the parameter that is missing.
pub(crate) fn said(error: &Error) -> String {
    let missing = error.missing().and_then(|missing| FORMS.into_iter().find(|(name, _)| *name == missing));
    match missing {
        Some((name, form)) => error.clone().help(format!("--param {name}=VALUE, where VALUE is {form}")).to_string(),
        None => error.to_string(),
    }
}

/// Of a format of several planes, the plane says itself which it is; only those behind the first begin further down.
pub(super) fn of_plane(parameters: Parameters, planes: usize, index: usize) -> Parameters {
    if planes == 1 {
        return parameters;
    }
    let plane = Some(if index == 0 { Plane::Luma } else { Plane::Chroma });
    let sand_first_row = parameters.sand_first_row.filter(|_| index > 0);
    Parameters { plane, sand_first_row, ..parameters }
}

fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning)
}

fn qualcomm(value: &str) -> Option<Qualcomm> {
    let numbers: Vec<u32> = value.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [highest_bank_bit, bank_swizzle_levels, macrotile_channels] = numbers.try_into().ok()?;
    Some(Qualcomm { highest_bank_bit, bank_swizzle_levels, macrotile_channels })
}

fn gfx8(value: &str) -> Option<Gfx8> {
    let (mode, rest) = value.split_once(',')?;
    let (micro, rest) = rest.split_once(',')?;
    let numbers: Vec<u32> = rest.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [pipe_config, pipes, banks, bank_width, bank_height, macro_aspect, tile_split] = numbers.try_into().ok()?;
    Some(Gfx8 {
        array_mode: word(mode, &[("1d", ArrayMode::Tiled1D), ("2d", ArrayMode::Tiled2D)])?,
        micro_tile: word(micro, &[("thin", MicroTile::Thin), ("display", MicroTile::Display)])?,
        pipe_config,
        pipes,
        banks,
        bank_width,
        bank_height,
        macro_aspect,
        tile_split: Bytes(u64::from(tile_split)),
    })
}
