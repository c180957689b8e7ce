//! Units never overflow in silence, and extents and rectangles are legal or refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::{Bytes, Elements, Extent, Px, Rect};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn overflow_is_none() {
    assert_eq!(Px(u32::MAX).checked_add(Px(1)), None);
    assert_eq!(Bytes(u64::MAX).checked_mul(2), None);
    assert_eq!(Elements(0).checked_sub(Elements(1)), None);
    assert_eq!(Bytes(u64::MAX).align_up(Bytes(2)), None);
    assert_eq!(Bytes(5).align_up(Bytes(0)), None);
    assert_eq!(Bytes(5).align_up(Bytes(3)), Some(Bytes(6)));
    assert!(!Bytes(0).is_aligned(Bytes(0)));
    assert_eq!((Bytes(3).to_string(), Elements(2).to_string()), ("3 bytes".into(), "2 elements".into()));
}

#[test]
fn extents_have_edges_from_1_to_16384() {
    for (width, height, legal) in
        [(1, 1, true), (16384, 16384, true), (0, 1, false), (1, 0, false), (16385, 1, false), (1, u32::MAX, false)]
    {
        assert_eq!(Extent::new(width, height).is_ok(), legal, "{width}x{height}");
    }
    let extent = Extent::new(720, 404).unwrap();
    assert_eq!(extent.to_string(), "720x404 px");
    assert!(extent.fits(Extent::LARGEST) && !Extent::LARGEST.fits(extent));
    assert_eq!(extent.min(Extent::new(500, 500).unwrap()), Extent::new(500, 404).unwrap());
}

#[test]
fn rectangles_stay_on_the_largest_surface() {
    let extent = Extent::new(10, 10).unwrap();
    assert!(Rect::new(16374, 16374, extent).is_ok());
    assert!(Rect::new(16375, 0, extent).is_err());
    assert!(Rect::new(u32::MAX, 0, extent).is_err());
    let whole = Rect::whole(extent);
    assert!(whole.within(extent) && !whole.within(Extent::new(10, 9).unwrap()));
    assert_eq!((whole.right(), whole.bottom()), (Px(10), Px(10)));
}

fn rect() -> impl Strategy<Value = Rect> {
    (0..20_u32, 0..20_u32, 1..20_u32, 1..20_u32)
        .prop_filter_map("legal", |(x, y, w, h)| Rect::new(x, y, Extent::new(w, h).ok()?).ok())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rectangles_overlap_where_they_share_a_pixel(a in rect(), b in rect()) {
        let holds = |rect: Rect, x, y| {
            (rect.x().0..rect.right().0).contains(&x) && (rect.y().0..rect.bottom().0).contains(&y)
        };
        let shared = (0..40).any(|y| (0..40).any(|x| holds(a, x, y) && holds(b, x, y)));
        prop_assert_eq!(a.overlaps(b), shared);
        prop_assert_eq!(b.overlaps(a), shared);
    }

    #[test]
    fn aligning_gives_the_next_multiple(value in 0..1_000_000_u64, align in 1..5000_u64) {
        let aligned = Bytes(value).align_up(Bytes(align)).unwrap().get();
        prop_assert!(aligned >= value && aligned - value < align && aligned.is_multiple_of(align));
    }
}
