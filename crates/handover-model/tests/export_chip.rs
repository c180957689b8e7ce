//! The decision that AMDGPU's plan amounts to: where it is the general one, and where a chip or a display makes it another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::export::amdgpu::{Stays, Step, Texture};
use handover_model::export::{Outcome, Reason, chip};
use handover_model::metadata::amdgpu::Level;
use handover_model::{Compression, ExportFlags, ExportState, Kind, Resolve, decide};

const READ: ExportFlags = ExportFlags::READ;
const WRITE: ExportFlags = ExportFlags::WRITE;
const FLUSH: ExportFlags = ExportFlags::EXPLICIT_FLUSH;

fn every_flags() -> Vec<ExportFlags> {
    (0..16).map(ExportFlags::from_bits_retain).collect()
}

/// A chip before GFX11, and a surface that no display has to do with: whatever is exported, the two rules agree.
#[test]
fn without_a_display_an_old_chip_decides_as_the_general_rule() {
    for level in [Level::Gfx8, Level::Gfx9, Level::Gfx10, Level::Gfx10_3] {
        for compression in [Compression::None, Compression::Possible, Compression::Promised] {
            for first in every_flags() {
                for second in every_flags() {
                    let (mut by_chip, mut by_flags) = (ExportState::new(compression), ExportState::new(compression));
                    for flags in [first, second] {
                        let chips = chip::decide(&Texture::new(level), by_chip, flags);
                        match (chips, decide(by_flags, flags)) {
                            (Ok((state, decision, _)), Ok((general_state, general))) => {
                                (by_chip, by_flags) = (state, general_state);
                                assert_eq!(state, general_state, "{level} {compression:?}: {first}, {second}");
                                let both = [decision, general].map(|one| (one.compression, one.resolve, one.changed));
                                assert_eq!(both[0], both[1], "{level} {compression:?}: {first}, {second}");
                            }
                            (Err(error), Err(general)) => {
                                assert_eq!((error.kind(), error.to_string()), (&Kind::Invalid, general.to_string()));
                            }
                            (chips, general) => panic!("{flags}: {chips:?}, {general:?}"),
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_chip_or_a_display_makes_it_another() {
    let of = |level| Texture::new(level);
    let scanout = |level| Texture { scanout: true, displayable: true, display_dcc: true, ..of(level) };
    let shown = |level| Texture { displayable: true, display_dcc: true, ..of(level) };
    let multisampled = Texture { samples: 4, ..of(Level::Gfx9) };
    type Case = (&'static str, Texture, Compression, &'static [ExportFlags], Outcome, Reason, Resolve);
    const FLUSHED: ExportFlags = READ.union(FLUSH);
    const WRITES: ExportFlags = WRITE.union(FLUSH);
    let (possible, promised) = (Compression::Possible, Compression::Promised);
    let (kept, dropped) = (Outcome::Kept, Outcome::Dropped);
    let cases: [Case; 9] = [
        ("a front buffer", scanout(Level::Gfx10_3), possible, &[READ], dropped, Reason::FrontBuffer, Resolve::Nothing),
        (
            "its flushes promised",
            scanout(Level::Gfx10_3),
            possible,
            &[FLUSHED],
            kept,
            Reason::ReadOnlyConsumer,
            Resolve::ByFlush,
        ),
        (
            "a promise that goes",
            scanout(Level::Gfx10_3),
            possible,
            &[FLUSHED, READ],
            dropped,
            Reason::FrontBuffer,
            Resolve::Nothing,
        ),
        (
            "and comes back",
            scanout(Level::Gfx10_3),
            possible,
            &[READ, FLUSHED],
            dropped,
            Reason::AlreadyDropped,
            Resolve::Nothing,
        ),
        ("a display DCC", shown(Level::Gfx9), possible, &[READ], dropped, Reason::StaleDisplayDcc, Resolve::Nothing),
        (
            "with a modifier",
            scanout(Level::Gfx9),
            promised,
            &[READ],
            kept,
            Reason::ModifierPromises,
            Resolve::ByTracking,
        ),
        (
            "GFX11 compresses what shaders write",
            of(Level::Gfx11),
            possible,
            &[WRITE],
            kept,
            Reason::ConsumerCompresses,
            Resolve::ByTracking,
        ),
        (
            "somebody renders into it already",
            scanout(Level::Gfx11),
            possible,
            &[WRITES, READ],
            kept,
            Reason::TooLate,
            Resolve::ByTracking,
        ),
        (
            "GFX12 moves it to other pages",
            scanout(Level::Gfx12),
            possible,
            &[READ],
            dropped,
            Reason::FrontBuffer,
            Resolve::Nothing,
        ),
    ];
    for (what, texture, compression, exports, outcome, reason, resolve) in cases {
        let mut state = ExportState::new(compression);
        let mut last = None;
        for flags in exports {
            let (after, decision, plan) = chip::decide(&texture, state, *flags).unwrap();
            state = after;
            last = Some((decision, plan));
        }
        let (decision, plan) = last.unwrap();
        assert_eq!((decision.compression, decision.reason, decision.resolve), (outcome, reason, resolve), "{what}");
        assert_eq!(state.is_dropped(), outcome == dropped, "{what}");
        let stays = plan.steps.iter().any(|step| matches!(step, Step::DccStays(_, Stays::RenderedElsewhere)));
        assert_eq!(stays, reason == Reason::TooLate, "{what}: {:?}", plan.steps);
        assert!(!decision.to_string().is_empty());
    }
    let refused = chip::decide(&multisampled, ExportState::new(possible), READ).unwrap_err();
    assert_eq!(*refused.kind(), Kind::Unsupported, "{refused}");
}
