//! What a modifier does not say, as `--param NAME=VALUE` gives it.

use handover::Bytes;
use handover::layout::tiling::{ArrayMode, Gfx8, MicroTile, Parameters, Plane, Qualcomm, SupertileOrder};

/// The names there are.
const NAMES: &str = "plane, intel_bit6, vivante_supertile, sand_first_row, qualcomm, amd_gfx8";

/// Reads all of them; a later one replaces an earlier one of its name.
pub(crate) fn read(texts: &[String]) -> Result<Parameters, String> {
    let mut parameters = Parameters::default();
    for text in texts {
        let Some((name, value)) = text.split_once('=') else {
            return Err(format!("--param {text}: a name, =, and a value; the names are {NAMES}"));
        };
        let is = |what: &str| format!("--param {text}: {name} is {what}");
        match name {
            "plane" => {
                let plane = word(value, &[("luma", Plane::Luma), ("chroma", Plane::Chroma)]);
                parameters.plane = Some(plane.ok_or_else(|| is("luma or chroma"))?);
            }
            "intel_bit6" => {
                let swizzles = word(value, &[("yes", true), ("no", false)]);
                parameters.intel_bit6 = Some(swizzles.ok_or_else(|| is("yes or no"))?);
            }
            "vivante_supertile" => {
                let order = word(value, &[("2x4", SupertileOrder::TwoByFour), ("z", SupertileOrder::ZOrder)]);
                parameters.vivante_supertile = Some(order.ok_or_else(|| is("2x4 or z"))?);
            }
            "sand_first_row" => {
                parameters.sand_first_row = Some(value.parse().map_err(|_| is("a number of rows"))?);
            }
            "qualcomm" => {
                let chip = qualcomm(value).ok_or_else(|| is("BANK_BIT,LEVELS,CHANNELS, such as 15,6,8"))?;
                parameters.qualcomm = Some(chip);
            }
            "amd_gfx8" => {
                let example = "MODE,MICRO,PIPE_CONFIG,PIPES,BANKS,BANK_WIDTH,BANK_HEIGHT,ASPECT,TILE_SPLIT, such as \
                               2d,thin,12,8,16,1,4,4,512";
                parameters.amd_gfx8 = Some(gfx8(value).ok_or_else(|| is(example))?);
            }
            _ => return Err(format!("--param {text}: there is no {name}; the names are {NAMES}")),
        }
    }
    Ok(parameters)
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
