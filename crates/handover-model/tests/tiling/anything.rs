//! Any modifier, size, stride and parameters at all: a tiling or a refusal, never a panic, never an address outside.

use std::collections::HashSet;

use handover_model::layout::tiling::{ArrayMode, Gfx8, MicroTile, Parameters, Plane, Qualcomm, SupertileOrder, Tiling};
use handover_model::{Bytes, Elements, Modifier};
use proptest::prelude::*;

use crate::layouts::modifiers;

/// Modifiers of every vendor, near those that mean something.
fn any_modifier() -> impl Strategy<Value = Modifier> {
    let all = modifiers();
    let near = (0..all.len(), 0u32..56).prop_map(move |(index, bit)| Modifier(all[index].0 ^ (1 << bit)));
    let all = modifiers();
    prop_oneof![
        any::<u64>().prop_map(Modifier),
        (0u64..14, 0u64..1 << 36).prop_map(|(vendor, value)| Modifier(vendor << 56 | value)),
        near,
        (0..all.len()).prop_map(move |index| all[index]),
    ]
}

fn any_gfx8() -> impl Strategy<Value = Gfx8> {
    let count = || prop_oneof![Just(1u32), Just(2), Just(4), Just(8), Just(16), any::<u32>()];
    let config = prop_oneof![Just(0u32), Just(5), Just(12), Just(17), any::<u32>()];
    let counts = (config, count(), count(), count(), count(), count());
    (any::<bool>(), any::<bool>(), counts, any::<u64>()).prop_map(|(flat, thin, counts, split)| {
        let (pipe_config, pipes, banks, bank_width, bank_height, macro_aspect) = counts;
        Gfx8 {
            array_mode: if flat { ArrayMode::Tiled1D } else { ArrayMode::Tiled2D },
            micro_tile: if thin { MicroTile::Thin } else { MicroTile::Display },
            pipe_config,
            pipes,
            banks,
            bank_width,
            bank_height,
            macro_aspect,
            tile_split: Bytes(split),
        }
    })
}

fn any_parameters() -> impl Strategy<Value = Parameters> {
    let qualcomm = (10u32..20, 0u32..9, prop_oneof![Just(4u32), Just(8), any::<u32>()]).prop_map(
        |(highest_bank_bit, bank_swizzle_levels, macrotile_channels)| Qualcomm {
            highest_bank_bit,
            bank_swizzle_levels,
            macrotile_channels,
        },
    );
    let order = any::<bool>().prop_map(|z| if z { SupertileOrder::ZOrder } else { SupertileOrder::TwoByFour });
    let plane = any::<bool>().prop_map(|luma| if luma { Plane::Luma } else { Plane::Chroma });
    let option = proptest::option::of::<BoxedStrategy<u32>>;
    (
        proptest::option::of(any_gfx8()),
        proptest::option::of(qualcomm),
        proptest::option::of(order),
        proptest::option::of(any::<bool>()),
        proptest::option::of(plane),
        option(prop_oneof![0u32..100, any::<u32>()].boxed()),
    )
        .prop_map(|(amd_gfx8, qualcomm, vivante_supertile, intel_bit6, plane, sand_first_row)| Parameters {
            amd_gfx8,
            qualcomm,
            vivante_supertile,
            intel_bit6,
            plane,
            sand_first_row,
        })
}

fn any_edge() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..20, 0u32..20_000, any::<u32>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_input_panics_and_no_address_lies_outside(
        modifier in any_modifier(),
        bytes in prop_oneof![0u64..20, any::<u64>()],
        parameters in any_parameters(),
        (width, height) in (any_edge(), any_edge()),
        stride in proptest::option::of(prop_oneof![(0u64..100).prop_map(|n| n * 1024), any::<u64>()]),
    ) {
        let Ok(tiling) = Tiling::of(modifier, Bytes(bytes), &parameters) else { return Ok(()) };
        let _ = (tiling.to_string(), tiling.write_unit(), tiling.bits().map(<[_]>::len), tiling.block());
        let Ok(placed) = tiling.place(Elements(width), height, stride.map(Bytes)) else { return Ok(()) };
        let _ = placed.planes();
        for (x, y) in [(0, 0), (width - 1, 0), (0, height - 1), (width / 2, height / 2), (width - 1, height - 1)] {
            let offset = placed.offset(Elements(x), y).unwrap().get();
            prop_assert!(offset + bytes <= placed.size().get(), "{tiling}: ({x}, {y}) at {offset}");
            let row = placed.row(y).unwrap();
            prop_assert!(row.base + placed.span() <= placed.size().get());
            prop_assert!(row.class < placed.classes());
        }
        let _ = placed.columns(u8::MAX).next();
    }

    #[test]
    fn micro_and_macro_tiles_of_gfx8_never_overlap(gfx8 in any_gfx8(), bytes_log2 in 0u32..5) {
        let Ok(tiling) = Tiling::amd_gfx8(gfx8, Bytes(1 << bytes_log2)) else { return Ok(()) };
        let (width, height) = tiling.block();
        let placed = tiling.place(Elements(width.get().min(512)), height.min(512), None).unwrap();
        let mut seen = HashSet::new();
        for (x, y) in (0..placed.height()).flat_map(|y| (0..placed.width().get()).map(move |x| (x, y))) {
            prop_assert!(seen.insert(placed.offset(Elements(x), y).unwrap()), "({x}, {y})");
        }
    }
}
