//! Negotiation: explained conflicts, and laws against a search over everything.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::negotiate::{MAX_ALIGN, negotiate};
use handover_model::{Agreement, Bytes, Conflict, Extent, Format, Kind, Modifier, Offer, OfferEntry, SurfaceUsages};
use proptest::prelude::*;

const INTEL_X: Modifier = Modifier(0x0100_0000_0000_0001);

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn entry(format: Format, modifier: Modifier) -> OfferEntry {
    OfferEntry::new(Some(format), modifier)
}

fn offer(party: &str, entries: &[OfferEntry]) -> Offer {
    Offer { party: party.into(), entries: entries.to_vec() }
}

fn extent() -> Extent {
    Extent::new(720, 404).unwrap()
}

fn conflict(offers: &[Offer]) -> Conflict {
    match negotiate(extent(), offers).unwrap_err().kind() {
        Kind::Conflict(conflict) => conflict.clone(),
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn the_producer_prefers_and_every_loser_says_why() {
    let large = Extent::new(4096, 4096).unwrap();
    let small = OfferEntry { max_extent: Extent::new(640, 480).unwrap(), ..entry(Format::ARGB8888, Modifier::LINEAR) };
    let clip = offer(
        "clip",
        &[
            entry(Format::NV12, Modifier::LINEAR),
            entry(Format::XRGB8888, INTEL_X),
            entry(Format::ARGB8888, Modifier::LINEAR),
            OfferEntry { stride_align: Bytes(64), ..entry(Format::XRGB8888, Modifier::SIM_BLOCKS) },
            entry(Format::XRGB8888, Modifier::LINEAR),
        ],
    );
    let screen = offer(
        "screen",
        &[
            entry(Format::XRGB8888, Modifier::LINEAR),
            OfferEntry {
                stride_align: Bytes(96),
                max_extent: large,
                usages: SurfaceUsages::SCANOUT,
                ..entry(Format::XRGB8888, Modifier::SIM_BLOCKS)
            },
            small,
        ],
    );
    let agreement = negotiate(extent(), &[clip, screen]).unwrap();
    assert_eq!(agreement.to_string(), "XRGB8888 SIM_BLOCKS (simulated) 720x404 px");
    assert_eq!((agreement.stride_align, agreement.offset_align), (Bytes(192), Bytes(1)));
    assert_eq!(agreement.usages, SurfaceUsages::READ | SurfaceUsages::SCANOUT);
    let lost: Vec<_> = agreement.lost.iter().map(|lost| format!("{}: {}", lost.candidate, lost.conflict)).collect();
    assert_eq!(
        lost,
        [
            "NV12 LINEAR: format: clip has NV12, screen has XRGB8888, ARGB8888",
            "XRGB8888 INTEL X_TILED: modifier: clip has INTEL X_TILED, screen has LINEAR, SIM_BLOCKS (simulated)",
            "ARGB8888 LINEAR: extent: the caller has 720x404 px, screen has at most 640x480 px",
            "XRGB8888 LINEAR: preference: clip has XRGB8888 SIM_BLOCKS (simulated) before XRGB8888 LINEAR, \
             everybody has XRGB8888 SIM_BLOCKS (simulated) in common",
        ]
    );
}

#[test]
fn without_an_agreement_the_closest_candidate_explains() {
    let clip = offer("clip", &[entry(Format::NV12, Modifier::LINEAR), entry(Format::XRGB8888, Modifier::SIM_BLOCKS)]);
    let encoder = offer("encoder", &[entry(Format::XRGB8888, Modifier::LINEAR)]);
    let found = conflict(&[clip.clone(), encoder]);
    assert_eq!(found.to_string(), "modifier: clip has SIM_BLOCKS (simulated), encoder has LINEAR");
    let silent = offer("silent", &[]);
    assert_eq!(conflict(&[clip, silent]).to_string(), "format: clip has NV12, silent has nothing");
}

#[test]
fn alignments_that_only_meet_far_away_conflict() {
    let stride = |align| OfferEntry { stride_align: Bytes(align), ..entry(Format::R8, Modifier::LINEAR) };
    let found = conflict(&[offer("a", &[stride(65_536)]), offer("b", &[stride(100)]), offer("c", &[stride(3)])]);
    assert_eq!(found.field, "stride alignment");
    assert_eq!((found.left.0.as_str(), found.right.0.as_str()), ("a", "b"));
}

#[test]
fn a_buffer_needs_no_extent() {
    let buffer = OfferEntry { max_extent: Extent::new(1, 1).unwrap(), ..OfferEntry::new(None, Modifier::LINEAR) };
    let agreement =
        negotiate(extent(), &[offer("a", std::slice::from_ref(&buffer)), offer("b", std::slice::from_ref(&buffer))])
            .unwrap();
    assert_eq!((agreement.format, agreement.candidate().to_string()), (None, "buffer LINEAR".into()));
}

#[test]
fn offers_that_contradict_themselves_are_refused() {
    let linear = entry(Format::R8, Modifier::LINEAR);
    let zero = OfferEntry { offset_align: Bytes(0), ..linear.clone() };
    let huge = OfferEntry { stride_align: Bytes(MAX_ALIGN.get() + 1), ..linear.clone() };
    for entries in [vec![zero], vec![huge], vec![linear.clone(), linear], vec![entry(Format::R8, Modifier::INVALID)]] {
        let error = negotiate(extent(), &[offer("a", &entries)]).unwrap_err();
        assert_eq!(*error.kind(), Kind::Invalid, "{error}");
    }
    assert_eq!(*negotiate(extent(), &[]).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(*negotiate(extent(), &[offer("a", &[])]).unwrap_err().kind(), Kind::Invalid);
}

fn any_entry() -> impl Strategy<Value = OfferEntry> {
    let formats = vec![None, Some(Format::XRGB8888), Some(Format::NV12)];
    let align = || proptest::sample::select(vec![1_u64, 2, 3, 48, 64, 256, 100_000, 1 << 20]).prop_map(Bytes);
    (
        proptest::sample::select(formats),
        proptest::sample::select(vec![Modifier::LINEAR, Modifier::SIM_BLOCKS, INTEL_X]),
        align(),
        align(),
        proptest::sample::select(vec![(4096, 4096), (1000, 404), (640, 480)]),
        0..128_u32,
    )
        .prop_map(|(format, modifier, stride_align, offset_align, (width, height), usages)| OfferEntry {
            format,
            modifier,
            stride_align,
            offset_align,
            max_extent: Extent::new(width, height).unwrap(),
            usages: SurfaceUsages::from_bits_truncate(usages),
        })
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let entries = proptest::collection::vec(any_entry(), 1..9).prop_map(|entries| {
        let mut distinct: Vec<OfferEntry> = Vec::new();
        for entry in entries {
            if distinct.iter().all(|known| known.candidate() != entry.candidate()) {
                distinct.push(entry);
            }
        }
        distinct
    });
    proptest::collection::vec(entries, 1..5).prop_map(|offers| {
        (0..).zip(offers).map(|(index, entries)| Offer { party: format!("party {index}"), entries }).collect()
    })
}

/// The smallest number that all divide, by trying them one by one.
fn multiple(aligns: &[u64]) -> Option<u64> {
    let largest = aligns.iter().copied().max()?;
    (1..)
        .map(|times| times * largest)
        .take_while(|n| *n <= MAX_ALIGN.get())
        .find(|n| aligns.iter().all(|a| n.is_multiple_of(*a)))
}

/// What an agreement must be, found by looking at everything.
fn search(offers: &[Offer]) -> Option<(OfferEntry, Extent)> {
    offers[0].entries.iter().find_map(|asked| {
        let entries: Option<Vec<&OfferEntry>> = offers
            .iter()
            .map(|offer| offer.entries.iter().find(|entry| entry.candidate() == asked.candidate()))
            .collect();
        let entries = entries?;
        let fits = asked.format.is_none() || entries.iter().all(|entry| extent().fits(entry.max_extent));
        let strides: Vec<_> = entries.iter().map(|entry| entry.stride_align.get()).collect();
        let offsets: Vec<_> = entries.iter().map(|entry| entry.offset_align.get()).collect();
        fits.then_some(())?;
        let merged = OfferEntry {
            stride_align: Bytes(multiple(&strides)?),
            offset_align: Bytes(multiple(&offsets)?),
            usages: entries.iter().fold(SurfaceUsages::empty(), |all, entry| all | entry.usages),
            ..asked.clone()
        };
        Some((merged, extent()))
    })
}

fn outcome(result: handover_model::Result<Agreement>) -> Result<Agreement, Kind> {
    result.map_err(|error| error.kind().clone())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn equals_the_search_over_everything(offers in offers()) {
        match (negotiate(extent(), &offers), search(&offers)) {
            (Ok(agreement), Some((wanted, extent))) => {
                prop_assert_eq!(agreement.candidate(), wanted.candidate());
                prop_assert_eq!(agreement.stride_align, wanted.stride_align);
                prop_assert_eq!(agreement.offset_align, wanted.offset_align);
                prop_assert_eq!((agreement.usages, agreement.extent), (wanted.usages, extent));
                prop_assert_eq!(agreement.lost.len() + 1, offers[0].entries.len());
            }
            (Err(error), None) => prop_assert!(matches!(error.kind(), Kind::Conflict(_))),
            (found, wanted) => prop_assert!(false, "{:?}, wanted {:?}", found, wanted),
        }
    }

    #[test]
    fn the_order_of_consumers_does_not_matter(offers in offers(), turn in 0..4_usize) {
        let mut other = offers.clone();
        other[1..].reverse();
        let consumers = other.len() - 1;
        other[1..].rotate_left(turn % consumers.max(1));
        prop_assert_eq!(outcome(negotiate(extent(), &offers)), outcome(negotiate(extent(), &other)));
    }

    #[test]
    fn the_result_satisfies_every_party(offers in offers()) {
        if let Ok(agreement) = negotiate(extent(), &offers) {
            for offer in &offers {
                let own = offer.entries.iter().find(|entry| entry.candidate() == agreement.candidate()).unwrap();
                prop_assert!(agreement.stride_align.is_aligned(own.stride_align));
                prop_assert!(agreement.offset_align.is_aligned(own.offset_align));
                prop_assert!(agreement.format.is_none() || agreement.extent.fits(own.max_extent));
                prop_assert!(agreement.usages.contains(own.usages));
            }
        }
    }

    /// A party that says the same twice, and one that repeats the agreement, change nothing.
    #[test]
    fn merging_is_idempotent(offers in offers(), again in 0..4_usize) {
        let first = outcome(negotiate(extent(), &offers));
        let mut twice = offers.clone();
        twice.push(offers[again % offers.len()].clone());
        let second = outcome(negotiate(extent(), &twice));
        prop_assert_eq!(first.is_ok(), second.is_ok());
        if let (Ok(first), Ok(second)) = (first, second) {
            let bare = |agreement: &Agreement| Agreement { lost: Vec::new(), ..agreement.clone() };
            prop_assert_eq!(bare(&first), bare(&second));
            let echo = OfferEntry {
                stride_align: first.stride_align,
                offset_align: first.offset_align,
                usages: first.usages,
                ..OfferEntry::new(first.format, first.modifier)
            };
            twice.push(offer("echo", &[echo]));
            prop_assert_eq!(bare(&negotiate(extent(), &twice).unwrap()), bare(&first));
        }
    }
}
