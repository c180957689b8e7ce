//! The scenarios that the program carries: one table for `explain` and `run`.

/// Those that the table of all shows, by name.
pub const SHIPPED: [(&str, &str); 14] = [
    ("s01", include_str!("../../scenarios/s01.toml")),
    ("s02", include_str!("../../scenarios/s02.toml")),
    ("s02b", include_str!("../../scenarios/s02b.toml")),
    ("s03", include_str!("../../scenarios/s03.toml")),
    ("s05", include_str!("../../scenarios/s05.toml")),
    ("s06", include_str!("../../scenarios/s06.toml")),
    ("s07", include_str!("../../scenarios/s07.toml")),
    ("s08", include_str!("../../scenarios/s08.toml")),
    ("s09", include_str!("../../scenarios/s09.toml")),
    ("s10", include_str!("../../scenarios/s10.toml")),
    ("s11", include_str!("../../scenarios/s11.toml")),
    ("s12", include_str!("../../scenarios/s12.toml")),
    ("s13", include_str!("../../scenarios/s13.toml")),
    ("s15", include_str!("../../scenarios/s15.toml")),
];

/// A scenario that the program carries, and its name: those of the table, and those of [`measure`](crate::measure) that are made to be
/// run.
pub(crate) fn shipped(name: &str) -> Option<(&'static str, &'static str)> {
    all().find(|(shipped, _)| *shipped == name)
}

/// The names of all of them, for messages.
pub(super) fn names() -> String {
    all().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHIPPED.into_iter().chain(crate::measure::SHIPPED)
}
