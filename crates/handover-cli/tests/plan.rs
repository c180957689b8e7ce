//! Plans: every pipeline that parses is planned or refused, quickly and without a crash, and what is planned fits together.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write;

use handover::Extent;
use handover_cli::media::mp4::Clip;
use handover_cli::pipeline::{DEFAULT_EXTENT, Kind, Pipeline};
use handover_cli::run::{MEMORY, Plan, Refusal};

fn plan(text: &str) -> Result<Plan, Refusal> {
    let pipeline = Pipeline::parse(text, "test.toml").unwrap_or_else(|error| panic!("{error}"));
    let clip = Clip::from_bytes(Clip::DEFAULT_NAME, Clip::DEFAULT).unwrap();
    Plan::of(&pipeline, Some(&clip), None)
}

fn one(name: &str, kind: &str, reads: &[&str], more: &str) -> String {
    let reads = if reads.is_empty() { String::new() } else { format!("reads = {reads:?}\n") };
    format!("[[participant]]\nname = \"{name}\"\nkind = \"{kind}\"\n{reads}{more}\n")
}

fn extent_of(plan: &Plan, name: &str) -> (u32, u32) {
    let party = plan.parties.iter().find(|party| party.participant.name == name).unwrap();
    (party.extent.width().get(), party.extent.height().get())
}

/// An overlay over a blend of itself: asking each for the other's extent overflowed the stack.
#[test]
fn an_overlay_over_what_reads_it_has_the_default_extent() {
    let text = [
        "name = \"circle\"\n".to_string(),
        one("o", "overlay", &[], ""),
        one("b", "blend", &["o"], ""),
        one("c", "compositor", &["b", "o"], ""),
        one("p", "preview", &["c"], ""),
    ];
    let plan = plan(&text.concat()).unwrap();
    for name in ["o", "b", "c", "p"] {
        assert_eq!(extent_of(&plan, name), DEFAULT_EXTENT, "{name}");
    }
}

/// The overlay that is on no circle still follows what it lies over.
#[test]
fn only_the_overlay_on_the_circle_has_the_default_extent() {
    let text = [
        "name = \"circle\"\n".to_string(),
        one("free", "overlay", &[], ""),
        one("bound", "overlay", &[], ""),
        one("card", "pattern", &[], "extent = [100, 50]"),
        one("b", "blend", &["bound", "card"], ""),
        one("c", "compositor", &["b", "bound", "free"], ""),
        one("p", "preview", &["c"], ""),
    ];
    let plan = plan(&text.concat()).unwrap();
    let (width, height) = DEFAULT_EXTENT;
    assert_eq!(extent_of(&plan, "bound"), DEFAULT_EXTENT);
    assert_eq!(extent_of(&plan, "b"), (2 * width, height));
    assert_eq!(extent_of(&plan, "free"), (2 * width, height));
}

/// Each was charged all that its `opengl` shows, four pictures, and so were 2.3 GiB for 1.4.
#[test]
fn a_compute_takes_the_memory_of_one_texture() {
    let cl = |name: &str| one(name, "compute", &["gl"], "device = \"navi21\"\naccess = \"read\"");
    let gl = one("gl", "opengl", &[], "device = \"navi21\"\nextent = [4096, 3072]");
    let text = format!("name = \"large\"\n{gl}{}{}{}", cl("a"), cl("b"), cl("c"));
    let plan = plan(&text).unwrap();
    assert_eq!((extent_of(&plan, "gl"), extent_of(&plan, "a")), ((8192, 6144), (4096, 3072)));
}

/// More ways lead through this pipeline than can be walked one by one.
#[test]
fn everybody_reads_everybody_before() {
    let mut text = format!("name = \"dense\"\n{}", one("n0", "pattern", &[], "extent = [8, 8]"));
    let names: Vec<String> = (0..31).map(|index| format!("n{index}")).collect();
    for index in 1..31 {
        let reads: Vec<&str> = names[..index].iter().map(String::as_str).collect();
        text += &one(&names[index], "compositor", &reads, "");
    }
    text += &one("p", "preview", &["n30"], "");
    let plan = plan(&text).unwrap();
    assert_eq!((plan.edges.len(), extent_of(&plan, "p")), (31 * 30 / 2 + 1, (8, 8)));
}

#[test]
fn pictures_of_a_run_fit_its_budget() {
    let cards = |extent: &str, surfaces: u32| {
        let text = one("card", "pattern", &[], &format!("extent = {extent}\nsurfaces = {surfaces}"));
        plan(&format!("name = \"x\"\n{text}{}", one("p", "preview", &["card"], "")))
    };
    assert!(cards("[3840, 2160]", 16).is_ok());
    let Err(Refusal(message)) = cards("[8192, 8192]", 16) else { panic!() };
    let allowed = format!("allowed: {} MiB", MEMORY >> 20);
    assert!(message.contains(&allowed) && message.contains("card takes most of it"), "{message}");
    // The default pipeline of a 4K clip is what people have.
    let text = one("card", "pattern", &[], "extent = [3840, 2160]\ndevice = \"blocks\"")
        + &one("overlay", "overlay", &[], "device = \"blocks\"")
        + &one("c", "compositor", &["card", "overlay"], "device = \"blocks\"")
        + &one("stream", "encoder", &["card"], "device = \"plain+blocks\"")
        + &one("capture", "encoder", &["card"], "device = \"plain+blocks\"")
        + &one("preview", "preview", &["c"], "");
    assert!(plan(&format!("name = \"x\"\n{text}")).is_ok());
}

/// Numbers that come again: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// A right pipeline without a cycle: everybody reads some of those before, and stands anywhere in the file.
    fn pipeline(&mut self) -> String {
        let producers = 1 + self.below(12);
        let mut entries = Vec::new();
        for index in 0..producers {
            let kinds: &[&str] = if index == 0 {
                &["clip", "overlay", "pattern"]
            } else {
                &["overlay", "compositor", "blend", "overlay", "compositor", "blend", "clip", "pattern"]
            };
            let kind = kinds[self.below(kinds.len())];
            let mut reads = Vec::new();
            if matches!(kind, "compositor" | "blend") {
                let mut from: Vec<String> = (0..index).map(|index| format!("n{index}")).collect();
                for _ in 0..1 + self.below(4).min(index - 1) {
                    reads.push(from.swap_remove(self.below(from.len())));
                }
            }
            let mut more = String::new();
            if kind != "clip" && self.below(4) == 0 {
                let edge = [1, 7, 64, 640, 4000, 16384];
                write!(more, "extent = [{}, {}]", edge[self.below(6)], edge[self.below(6)]).unwrap();
            }
            let reads: Vec<&str> = reads.iter().map(String::as_str).collect();
            let entry = one(&format!("n{index}"), kind, &reads, &more);
            entries.insert(self.below(entries.len() + 1), entry);
        }
        for index in 0..1 + self.below(3) {
            let kind = ["encoder", "preview"][self.below(2)];
            let entry = one(&format!("end{index}"), kind, &[&format!("n{}", self.below(producers))], "");
            entries.insert(self.below(entries.len() + 1), entry);
        }
        format!("name = \"random\"\n{}", entries.concat())
    }
}

/// Whatever parses plans or refuses; what plans fits together.
#[test]
fn random_pipelines_plan_or_refuse() {
    let (mut random, mut planned, mut refused) = (Random(0x9e37_79b9_7f4a_7c15), 0, 0);
    for _ in 0..3000 {
        let text = random.pipeline();
        let Ok(plan) = plan(&text) else {
            refused += 1;
            continue;
        };
        planned += 1;
        for party in &plan.parties {
            let first = party.participant.reads.first().map(|read| plan.parties[*read].extent);
            match (&party.participant.kind, party.participant.extent) {
                (_, Some(said)) => assert_eq!(party.extent, said, "{text}"),
                (Kind::Encoder(_) | Kind::Preview, None) => assert_eq!(Some(party.extent), first, "{text}"),
                _ => {}
            }
            let Some((columns, tile)) = party.grid else { continue };
            let fits =
                |inner: Extent, outer: Extent| inner.width() <= outer.width() && inner.height() <= outer.height();
            let reads = &party.participant.reads;
            assert!(reads.iter().all(|read| fits(plan.parties[*read].extent, tile)), "{text}");
            if party.participant.extent.is_none() {
                let rows = (reads.len() as u32).div_ceil(columns);
                let all = Extent::new(tile.width().get() * columns, tile.height().get() * rows).unwrap();
                assert_eq!(party.extent, all, "{text}");
            }
        }
    }
    assert!(planned > 300 && refused > 300, "{planned} planned, {refused} refused: both are tried");
}
