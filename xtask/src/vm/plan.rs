//! What the guest runs. Every test program of the workspace does, except for those listed here, each with its reason.
//!
//! A program goes by `PACKAGE.TARGET`: `handover.way` is `crates/handover/tests/way.rs`, `PACKAGE.lib` the tests inside
//! the library, `PACKAGE.bin` those inside the program. A listed name that no longer exists fails the run.

use std::time::Duration;

/// After this a test program is killed, unless [`LIMITS`] gives it another. The slowest needs a quarter of it.
pub(super) const PROGRAM: Duration = Duration::from_secs(240);

/// A program that stays on the host, or all of a package: `PACKAGE.*`.
pub(super) struct LeftOut {
    pub(super) program: &'static str,
    pub(super) reason: &'static str,
}

/// A test that the guest does not run, though it runs its program's others.
pub(super) struct Excused {
    pub(super) program: &'static str,
    pub(super) test: &'static str,
    pub(super) reason: &'static str,
}

/// A program that gets another limit than [`PROGRAM`].
pub(super) struct Limit {
    pub(super) program: &'static str,
    pub(super) limit: Duration,
}

/// The lists. Tests make up others.
pub(super) struct Plan {
    pub(super) left_out: &'static [LeftOut],
    pub(super) excused: &'static [Excused],
    pub(super) limits: &'static [Limit],
}

/// Software decoding and encoding, 20 times slower without hardware help for the guest.
const VIDEO: &str = "encodes video on the software backend, for minutes here; it meets no device of the kernel's";

/// Every schedule of a few steps, computed.
const IN_MEMORY: &str = "plays schedules through in memory, with no kernel in them";

/// Scenarios of synchronisation.
const COMPUTED: &str = "computes schedules in virtual time, with no kernel in them";

/// What `linux_chips` does in dma-bufs.
const SIMULATED: &str = "simulated chips in memory of the software backend, which meets no device of the kernel's";

/// Modifiers, layouts, metadata.
const NUMBERS: &str = "says what numbers mean; it meets no device of the kernel's";

/// Processes start 20 times slower too, and the torture counts how often it met each fault.
const KILLS: &str =
    "kills hundreds of processes on the software backend, for minutes here; it meets no device of the kernel's";

/// The plan of this repository.
pub(super) const PLAN: Plan = Plan {
    left_out: &[
        LeftOut { program: "xtask.*", reason: "asks cargo about the repository, not the kernel about a buffer" },
        LeftOut {
            program: "handover-model.*",
            reason: "knows no operating system, so no kernel can change what it does",
        },
        LeftOut {
            program: "handover-sys.uapi",
            reason: "compares with C headers, which the host has too, by some hundred runs of a compiler",
        },
        LeftOut { program: "handover-cli.convert", reason: NUMBERS },
        LeftOut { program: "handover-cli.decode", reason: NUMBERS },
        LeftOut { program: "handover-cli.decode_metadata", reason: NUMBERS },
        LeftOut { program: "handover-cli.dri", reason: SIMULATED },
        LeftOut { program: "handover-cli.explain", reason: COMPUTED },
        LeftOut { program: "handover-cli.explain_files", reason: COMPUTED },
        LeftOut { program: "handover-cli.explain_input", reason: COMPUTED },
        LeftOut { program: "handover-cli.explain_rules", reason: COMPUTED },
        LeftOut { program: "handover-cli.faults", reason: VIDEO },
        LeftOut { program: "handover-cli.gl_cl", reason: SIMULATED },
        LeftOut { program: "handover-cli.habits", reason: SIMULATED },
        LeftOut { program: "handover-cli.layout", reason: NUMBERS },
        LeftOut {
            program: "handover-cli.measure",
            reason: "starts some hundred processes on the software backend, which meet no device of the kernel's",
        },
        LeftOut {
            program: "handover-cli.pipeline",
            reason: "reads pipeline files and refuses them, before any device is asked",
        },
        LeftOut { program: "handover-cli.player", reason: VIDEO },
        LeftOut {
            program: "handover-cli.refusals",
            reason: "starts the program some hundred times, for minutes here, and is refused before it meets a device",
        },
        LeftOut { program: "handover-cli.run", reason: VIDEO },
        LeftOut { program: "handover-cli.video", reason: VIDEO },
        LeftOut { program: "handover.chips", reason: SIMULATED },
        LeftOut { program: "handover.device_habits", reason: SIMULATED },
        LeftOut { program: "handover.device_loss", reason: SIMULATED },
        LeftOut { program: "handover.device_names", reason: SIMULATED },
        LeftOut { program: "handover.display_dcc", reason: SIMULATED },
        LeftOut { program: "handover.export_amdgpu", reason: SIMULATED },
        LeftOut { program: "handover.front_buffer", reason: SIMULATED },
        LeftOut { program: "handover.gl_cl", reason: SIMULATED },
        LeftOut { program: "handover.implicit", reason: SIMULATED },
        LeftOut { program: "handover.import_amdgpu", reason: SIMULATED },
        LeftOut { program: "handover.reservation_loom", reason: IN_MEMORY },
        LeftOut { program: "handover.reservation_model", reason: IN_MEMORY },
        LeftOut { program: "handover.reservation_schedule", reason: IN_MEMORY },
        LeftOut { program: "handover.reservation_wake_model", reason: IN_MEMORY },
        LeftOut { program: "handover.reservation_steps", reason: KILLS },
        LeftOut { program: "handover.reservation_torture", reason: KILLS },
        LeftOut { program: "handover.timeline_loom", reason: IN_MEMORY },
    ],
    excused: &[],
    limits: &[],
};

impl Plan {
    /// Why a program stays on the host. None: the guest runs it.
    pub(super) fn left_out(&self, program: &str) -> Option<&'static str> {
        self.left_out.iter().find(|entry| stands_for(entry.program, program)).map(|entry| entry.reason)
    }

    /// The tests of a program that the guest does not run.
    pub(super) fn excused(&self, program: &str) -> impl Iterator<Item = &'static Excused> {
        self.excused.iter().filter(move |entry| entry.program == program)
    }

    /// How long a program may run.
    pub(super) fn limit(&self, program: &str) -> Duration {
        self.limits.iter().find(|entry| entry.program == program).map_or(PROGRAM, |entry| entry.limit)
    }

    /// Complains about every listed program that does not exist. `tests` gives the names of a program's tests.
    pub(super) fn check(
        &self,
        programs: &[&str],
        tests: &dyn Fn(&str) -> Result<Vec<String>, String>,
    ) -> Result<(), String> {
        let listed = self.left_out.iter().map(|entry| entry.program);
        let listed = listed.chain(self.excused.iter().map(|e| e.program)).chain(self.limits.iter().map(|e| e.program));
        let exists = |name: &&str| programs.iter().any(|program| stands_for(name, program));
        let mut gone: Vec<String> = listed.filter(|name| !exists(name)).map(str::to_owned).collect();
        for Excused { program, test, .. } in self.excused.iter().filter(|entry| programs.contains(&entry.program)) {
            if !tests(program)?.iter().any(|name| name == test) {
                gone.push(format!("{program}, test {test}"));
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        Err(format!("xtask/src/vm/plan.rs lists what is not there any more: {}", gone.join("; ")))
    }
}

/// `PACKAGE.*` stands for all of a package's programs, any other name for itself.
pub(super) fn stands_for(listed: &str, program: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(package) => program.starts_with(package),
        None => listed == program,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Excused, LeftOut, Limit, PLAN, PROGRAM, Plan};

    const SMALL: Plan = Plan {
        left_out: &[LeftOut { program: "a.far", reason: "needs no kernel" }],
        excused: &[Excused { program: "a.near", test: "slow", reason: "an hour" }],
        limits: &[Limit { program: "a.near", limit: Duration::from_secs(7) }],
    };

    #[test]
    fn every_entry_has_a_reason_and_stands_once() {
        assert!(PLAN.left_out.iter().all(|entry| !entry.reason.is_empty()));
        assert!(PLAN.excused.iter().all(|entry| !entry.reason.is_empty()));
        let mut names: Vec<_> = PLAN.left_out.iter().map(|entry| entry.program).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PLAN.left_out.len());
        // A program that stays on the host has nothing to excuse.
        assert!(PLAN.excused.iter().all(|entry| PLAN.left_out(entry.program).is_none()));
    }

    #[test]
    fn the_plan_is_looked_up_by_program() {
        assert_eq!(SMALL.left_out("a.far"), Some("needs no kernel"));
        assert_eq!(SMALL.left_out("a.near"), None);
        assert_eq!(SMALL.excused("a.near").map(|entry| entry.test).collect::<Vec<_>>(), ["slow"]);
        assert_eq!((SMALL.limit("a.near"), SMALL.limit("a.far")), (Duration::from_secs(7), PROGRAM));
    }

    #[test]
    fn a_star_stands_for_a_package_and_for_no_other() {
        let plan = Plan { left_out: &[LeftOut { program: "a.*", reason: "pure" }], excused: &[], limits: &[] };
        assert_eq!((plan.left_out("a.way"), plan.left_out("a-b.way")), (Some("pure"), None));
        assert_eq!(plan.check(&["a.way"], &|_| Ok(Vec::new())), Ok(()));
        assert!(plan.check(&["a-b.way"], &|_| Ok(Vec::new())).is_err());
    }

    #[test]
    fn a_name_that_is_gone_is_told() {
        let tests = |_: &str| Ok(vec!["slow".to_owned(), "fast".to_owned()]);
        assert_eq!(SMALL.check(&["a.far", "a.near", "a.new"], &tests), Ok(()));
        let error = SMALL.check(&["a.near"], &tests).unwrap_err();
        assert!(error.contains("a.far") && !error.contains("a.near"), "{error}");
        let error = SMALL.check(&["a.far", "a.near"], &|_| Ok(Vec::new())).unwrap_err();
        assert!(error.contains("a.near, test slow"), "{error}");
    }
}
