//! Numbers of buffers in an open DRM file: who closes them, and when. One file has one table of them, however it was taken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;
#[path = "common/kernel.rs"]
mod kernel;
#[path = "../../handover-sys/tests/common/standin.rs"]
mod standin;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{alone, copy, image, keeps_descriptors, lease, refusal, refused};
use handover::backend::linux::Card;
use handover::import::{Foreign, foreign};
use handover::{Access, Device, Extent, Format, Kind, Layout, Stage};
use handover_model::layout::Constraints;
use handover_sys::drm::{self, prime};
use handover_sys::file;
use kernel::{Gpu, need, skip, surface, udmabuf};
use standin::with_devices;

const EPERM: i32 = 1;

/// Between the last drop and its close, another thread may import the same buffer under the same number.
#[test]
fn imports_and_drops_at_once_never_close_what_is_in_use() {
    let _turn = alone();
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let buffers = [surface(&backend), surface(&backend)];
    thread::scope(|scope| {
        for turn in 0..4 {
            let (gpu, buffers) = (&gpu, &buffers);
            scope.spawn(move || {
                for round in 0..500 {
                    let ours = &buffers[(turn + round) % 2];
                    let handle = gpu.0.import(ours).unwrap();
                    let exported = handle.export_dma_buf().expect("the handle is open");
                    assert_eq!(file::identity(exported).unwrap(), ours.id().memory);
                }
            });
        }
    });
}

/// A handle that dies slowly must not close its number once that names another buffer: here another one of the same buffer
/// has come and gone meanwhile, and a third is dying as well.
#[test]
fn a_handle_that_dies_late_never_closes_a_strangers_number() {
    let _turn = alone();
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (ours, stranger) = (surface(&backend), surface(&backend));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    drop(gpu.0.import(&ours).unwrap());
                }
            });
        }
        let mut closed = 0;
        for _ in 0..1_000 {
            let handle = gpu.0.import(&stranger).unwrap();
            drop(gpu.0.import(&ours).unwrap());
            thread::yield_now();
            let found = handle.export_dma_buf().map(|file| file::identity(file).unwrap());
            closed += usize::from(found.ok() != Some(stranger.id().memory));
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(closed, 0, "numbers of a buffer in use were closed");
    });
}

/// Nodes that make dumb buffers, opened by this test and by nobody else.
fn makers() -> Vec<(OwnedFd, PathBuf)> {
    let found = ["vgem", "virtio_gpu"].map(|driver| need(driver, Card::of_driver(driver)));
    let open = |card: Card| (drm::open(card.path()).unwrap(), card.path().to_owned());
    found.into_iter().flatten().map(open).collect()
}

fn is_open(node: impl AsFd, gem: drm::Gem) -> bool {
    prime::export(node, gem, prime::Access::ReadWrite).is_ok()
}

/// gbm makes its buffers and closes them, in the file that it shares with us.
#[test]
fn in_a_shared_file_no_number_is_ever_closed_here() {
    let _turn = alone();
    for (node, path) in makers() {
        let card = Card::shared(copy(&node), &path).unwrap();
        let made = drm::dumb::create(&node, 64, 64, 32).unwrap();
        let dma_buf = prime::export(&node, made.gem, prime::Access::ReadWrite).unwrap();
        for _ in 0..2 {
            let imported = card.import_dma_buf(dma_buf.as_fd()).unwrap();
            assert_eq!(card.gem(&imported).unwrap(), made.gem, "one file, one number");
            let named = card.handle_of(made.gem).unwrap();
            drop(imported);
            assert_eq!(card.gem(&named).unwrap(), made.gem);
            drop(named);
            assert!(is_open(&node, made.gem), "{}: closed under its maker", card.driver());
        }
        // One way or the other, not both.
        let again = Card::shared(copy(&node), &path).unwrap();
        assert!(again.is_same_file(&card));
        refused("with closing", Stage::Import, &Kind::Invalid, None, &["the other way"], || {
            Card::of(copy(&node), &path)
        });
        drop((card, again));
        let owner = Card::of(copy(&node), &path).expect("the shared one is gone");
        refused("without", Stage::Import, &Kind::Invalid, None, &["the other way"], || {
            Card::shared(copy(&node), &path)
        });
        drop(owner.import_dma_buf(dma_buf.as_fd()).unwrap());
        assert!(!is_open(&node, made.gem), "this one closes, and so is not for gbm");
    }
}

/// Who has a number alone, from gbm or a mode-setting call, gets a surface without a detour.
#[test]
fn a_number_made_elsewhere_is_a_handle_that_its_maker_closes() {
    let _turn = alone();
    let layout = |size: u32| Layout::linear(Format::XRGB8888, Extent::new(size, size).unwrap(), Constraints::NONE);
    for (node, path) in makers() {
        let card = Card::of(node, path).unwrap();
        let [made, other] = [0, 1].map(|_| drm::dumb::create(&card, 64, 64, 32).unwrap().gem);
        let handle = card.handle_of(made).unwrap();
        assert_eq!((card.gem(&handle).unwrap(), is_open(&card, made)), (made, true));
        let buffer = Foreign::Kms(handle.clone(), card.clone());
        let ours = foreign(buffer, &layout(64).unwrap(), Device::PLAIN, Access::Write).unwrap();
        assert_eq!(file::identity(handle.export_dma_buf().unwrap()).unwrap(), ours.id().memory);
        lease(&ours, Access::Write).write(&ours).unwrap().clear(3).unwrap();
        assert!(image(&ours).iter().all(|pixel| *pixel == 3));
        drop(handle);
        assert!(is_open(&card, made), "the maker's");
        // Nor by an import, which gets the same number.
        let imported = card.import(&ours).unwrap();
        assert_eq!(card.gem(&imported).unwrap(), made);
        drop((imported, ours));
        assert!(is_open(&card, made), "still the maker's");
        // Of two ways to one number, the first of which would have closed it.
        let dma_buf = prime::export(&card, other, prime::Access::ReadWrite).unwrap();
        let imported = card.import_dma_buf(dma_buf.as_fd()).unwrap();
        drop(card.handle_of(other).unwrap());
        drop(imported);
        assert!(is_open(&card, other), "it was said to be the maker's");
        for gem in [made, other] {
            prime::close(&card, gem).unwrap();
            let words = ["GEM handle", "this very open file"];
            refused("a closed one", Stage::Import, &Kind::Os, Some(2), &words, || card.handle_of(gem));
        }
    }
}

/// Two descriptors of one open file are one table of handles.
#[test]
fn a_card_taken_twice_is_one_card() {
    let _turn = alone();
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let twice = Card::of(copy(&gpu.0), gpu.0.path()).unwrap();
    let other = Card::open(gpu.0.path()).unwrap();
    assert!(twice.is_same_file(&gpu.0) && !other.is_same_file(&gpu.0));
    let ours = surface(&backend);
    let (first, second) = (gpu.0.import(&ours).unwrap(), twice.import(&ours).unwrap());
    drop(second);
    assert!(first.export_dma_buf().is_ok(), "closed by the other card");
    assert!(twice.gem(&first).is_ok() && other.gem(&first).is_err());
}

/// On the host too: no buffer is made.
#[test]
fn an_open_file_that_cannot_be_compared_is_not_given_a_second_table() {
    // The pipes to the child are descriptors of this process too.
    let _turn = alone();
    with_devices("an_open_file_that_cannot_be_compared_is_not_given_a_second_table", |devices| {
        let (confined, path) = (devices.node("confined"), devices.node("navi21"));
        let card = Card::open(&confined).expect("a fresh open needs no comparison");
        let again = Card::open(&confined).expect("nor does another");
        assert!(!card.is_same_file(&again));
        for take in [|file, path: &Path| Card::of(file, path), |file, path: &Path| Card::shared(file, path)] {
            let error = keeps_descriptors("a refusal", || refusal("a duplicate", take(copy(&card), &confined)));
            assert_eq!((error.kind(), error.errno()), (&Kind::Os, Some(EPERM)), "{error}");
            assert!(["confined", "kcmp", "clone"].iter().all(|word| error.to_string().contains(word)), "{error}");
        }
        drop((card, again));
        let first = Card::of(drm::open(&confined).unwrap(), &confined).expect("none is known to compare with");
        drop(first);
        let open = Card::open(&path).unwrap();
        assert!(Card::of(copy(&open), &path).unwrap().is_same_file(&open));
    });
}
