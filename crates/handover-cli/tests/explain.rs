//! `handover explain`: the shipped scenarios reach the makespans that were computed elsewhere, without breaking a dependency.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use handover_cli::explain::{Explanation, Graph, Kind, Model, Policy, Row, SHIPPED, Scenario, Threads, Work, schedule};

/// Critical path, M0, M1, M1a, M2, M3, M4 of each scenario: computed by another program, a list scheduler written from the same
/// rules, before this one was.
const TABLE: [(&str, &[[u64; 7]]); 13] = [
    ("S1", &[[16, 19, 16, 19, 16, 16, 16]]),
    ("S2", &[[16, 27, 16, 27, 16, 16, 16]]),
    ("S2b", &[[16, 27, 16, 16, 16, 16, 16]]),
    ("S3", &[[120, 230, 120, 230, 120, 120, 120], [84, 123, 84, 123, 84, 84, 84], [84, 95, 84, 95, 84, 84, 84]]),
    ("S5", &[[24, 38, 24, 38, 24, 24, 24]]),
    ("S6", &[[14, 17, 14, 14, 14, 14, 14]]),
    ("S8", &[[11, 20, 18, 20, 14, 11, 11]]),
    ("S9", &[[10, 40, 28, 40, 16, 10, 10]]),
    ("S10", &[[13, 25, 25, 25, 13, 13, 13]]),
    ("S11", &[[21, 31, 21, 31, 21, 21, 21]]),
    ("S12", &[[10, 16, 16, 16, 10, 10, 10]]),
    ("S13", &[[7, 32, 7, 32, 7, 7, 7]]),
    ("S15", &[[6, 24, 15, 24, 6, 6, 6]]),
];

fn shipped(name: &str) -> Scenario {
    let (_, text) = SHIPPED.into_iter().find(|(shipped, _)| *shipped == name).unwrap();
    Scenario::parse(text, name).unwrap_or_else(|error| panic!("{error}"))
}

fn explained(name: &str) -> Explanation {
    match shipped(name).work {
        Work::Jobs(variants) => Explanation::of(&variants[0]),
        Work::Threads(_) => panic!("{name} has threads"),
    }
}

fn threads(name: &str) -> Threads {
    match shipped(name).work {
        Work::Threads(threads) => threads,
        Work::Jobs(_) => panic!("{name} has jobs"),
    }
}

#[test]
fn s1_to_s15_reach_the_tabled_makespans_c104() {
    let rows: Vec<Row> =
        SHIPPED.into_iter().filter_map(|(name, text)| Row::of(&Scenario::parse(text, name).unwrap())).collect();
    assert_eq!(rows.len(), TABLE.len());
    for (row, (name, figures)) in rows.iter().zip(TABLE) {
        assert_eq!((row.name.as_str(), row.figures.as_slice()), (name, figures));
    }
}

#[test]
fn s1_to_s15_keep_every_true_dependency_c104() {
    for (name, _) in SHIPPED.into_iter().filter(|(name, _)| *name != "s07") {
        let Work::Jobs(variants) = shipped(name).work else { panic!("{name}") };
        for variant in variants {
            let graph = Graph::of(&variant.program);
            for model in Model::ALL {
                let violations = schedule(&graph, model.rules()).violations(&graph);
                assert!(violations.is_empty(), "{name} under {}: {violations:?}", model.name());
            }
        }
    }
}

#[test]
fn s7_honest_threads_do_not_depend_on_their_number() {
    for outcome in threads("s07").outcomes(Policy { export_writes: false, import_writes: false }) {
        assert_eq!((outcome.mean, outcome.max, outcome.locked), (5.0, 5, 5));
    }
}

#[test]
fn s7_one_pessimistic_half_is_as_bad_as_both() {
    let threads = threads("s07");
    let [_, pessimists @ ..] = Policy::ALL;
    for policy in pessimists {
        let shown: Vec<_> = threads
            .outcomes(policy)
            .iter()
            .map(|o| (o.threads, format!("{:.1} ({})", o.mean, o.max), o.locked))
            .collect();
        let tabled = [(8, "7.5 (11)".to_owned(), 12), (32, "11.9 (17)".to_owned(), 36)];
        assert_eq!(shown, tabled, "{policy:?}");
    }
}

/// The table's figures are those of a sample; these are what samples come close to.
#[test]
fn s7_means_come_close_to_the_expected_ones_whatever_the_seed() {
    for seed in 0..4 {
        let threads = Threads { interleavings: 20_000, seed, ..threads("s07") };
        let outcomes = threads.outcomes(Policy { export_writes: true, import_writes: true });
        assert!((outcomes[0].mean - 7.553).abs() < 0.03, "{outcomes:?}");
        assert!((outcomes[1].mean - 11.884).abs() < 0.03, "{outcomes:?}");
    }
}

#[test]
fn s8_names_who_waited_falsely_and_what_helps() {
    let explanation = explained("s08");
    let job = |number: usize| explanation.program.jobs[number].name.as_str();
    let (_, findings, tried) = explanation.models.iter().find(|(model, ..)| *model == Model::Shared).unwrap();
    let waits: Vec<_> =
        findings.waits.iter().map(|wait| (job(wait.waiter), job(wait.on), wait.total, wait.usage())).collect();
    assert_eq!(waits, [("RX", "WY", 9, "read after write"), ("WY", "WX", 4, "write after write")]);
    let gain = |kind: Kind| tried.changes.iter().find(|change| change.kind == kind).map(|change| change.gain);
    assert_eq!(
        [Kind::HonestRead, Kind::ImportInsteadOfWrite, Kind::Split, Kind::Regions, Kind::Explicit].map(gain),
        [None, Some(4), Some(7), Some(7), Some(7)]
    );
}

#[test]
fn s2_an_honest_read_is_all_that_exclusive_fences_lack() {
    let explanation = explained("s02");
    let (_, findings, tried) = &explanation.models[0];
    assert_eq!(findings.makespan, 27);
    assert_eq!((tried.changes[0].kind, tried.changes[0].makespan, tried.changes[0].gain), (Kind::HonestRead, 16, 11));
}

#[test]
fn s11_a_release_is_of_one_buffer_the_clients_do_not_wait_for_encoders() {
    let explanation = explained("s11");
    let end = |model: usize, name: &str| {
        let number = explanation.program.jobs.iter().position(|job| job.name == name).unwrap();
        explanation.models[model].1.spans[number]
    };
    for model in 0..Model::ALL.len() {
        assert_eq!(end(model, "W0b").0, end(model, "BLEND").1);
    }
}
