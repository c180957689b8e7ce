//! The picture of who waited for whom.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod common;

use handover::Monotonic;
use handover::backend::linux::{Card, Timeline};
use handover_cli::picture::fences::{KernelFence, Trace};
use handover_cli::picture::{Lane, Span, Story, Wait};

const MS: u64 = 1_000_000;

fn span(frame: u64, producer: usize, asked: u64, from: u64, to: u64) -> Span {
    Span { frame, producer, asked: asked * MS, from: from * MS, to: to * MS }
}

fn lane(name: &str, spans: &[Span]) -> Lane {
    Lane { name: name.into(), what: format!("{name} on a device"), spans: spans.to_vec() }
}

/// One surface: the clip draws 1, both encoders read it, the slower one holds up the drawing of 2.
fn story() -> Story {
    Story {
        title: "two <encoders>".into(),
        lanes: vec![
            lane("clip", &[span(1, 0, 0, 0, 10), span(2, 0, 10, 40, 50)]),
            lane("fast", &[span(1, 0, 0, 10, 20), span(2, 0, 20, 50, 60)]),
            lane("slow", &[span(1, 0, 0, 10, 40), span(2, 0, 50, 50, 70)]),
        ],
        fences: Some(vec![KernelFence {
            driver: "virtio_gpu".into(),
            timeline: "controlq".into(),
            context: 3,
            seqno: 4,
            from: 12 * MS,
            to: None,
        }]),
    }
}

#[test]
fn every_wait_names_whose_end_was_its_end() {
    let wait = |waiter, cause, time| Wait { waiter, cause, time: time * MS };
    let expected = [
        // The clip waited for the slow encoder, not for the fast one.
        wait((0, 1), (2, 0), 30),
        wait((1, 0), (0, 0), 10),
        wait((1, 1), (0, 1), 30),
        wait((2, 0), (0, 0), 10),
    ];
    assert_eq!(story().waits(), expected);
}

#[test]
fn the_picture_says_it_in_words_too() {
    let svg = story().svg();
    for words in [
        "clip waited 30.0 ms for slow (frame 1)",
        "fast waited 10.0 ms for clip (frame 1)",
        "slow had frame 1 of clip for 30.0 ms",
        "two &lt;encoders&gt;",
        "virtio_gpu controlq",
    ] {
        assert!(svg.contains(words), "{words}");
    }
    assert_eq!(svg.matches("marker-end").count(), 4, "an arrow for every wait");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
}

#[test]
fn a_kernel_that_made_no_fence_is_told_from_one_that_nobody_asked() {
    let says = |fences| Story { fences, ..story() }.svg().contains("no driver made one");
    assert_eq!((says(Some(Vec::new())), says(None)), (true, false));
}

/// A point of a timeline that is signalled makes a fence. When that is found to have ended, is for whoever looks at it.
#[test]
fn the_kernels_fences_are_seen_on_our_clock() {
    let trace = match Trace::start() {
        Ok(trace) => trace,
        Err(error) => return common::skip("tracefs", &error.to_string()),
    };
    let card = match Card::of_driver("virtio_gpu") {
        Ok(card) => card,
        Err(error) => return common::skip("virtio_gpu", &error.to_string()),
    };
    let before = Monotonic::now().0;
    Timeline::new(&card).unwrap().signal(1).unwrap();
    let after = Monotonic::now().0;
    let fences = trace.stop().unwrap();
    // The trace has microseconds, rounded.
    let is_ours = |fence: &KernelFence| (before..=after + 1000).contains(&(fence.from + 500));
    assert!(fences.iter().any(is_ours), "{fences:?}, between {before} and {after}");
}

#[test]
fn a_run_without_frames_says_so() {
    let story = Story { lanes: vec![lane("clip", &[])], ..story() };
    assert!(story.svg().contains("No frame"));
    assert!(Story::default().svg().ends_with("</svg>\n"));
}

/// Clocks of other processes are allegations.
#[test]
fn times_that_contradict_each_other_are_drawn_and_harm_nobody() {
    let lanes = vec![lane("clip", &[span(1, 7, 9, 5, 3), span(u64::MAX, 0, 0, 0, 0), span(1, 0, 0, u64::MAX / MS, 1)])];
    let svg = Story { lanes, ..story() }.svg();
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}
