//! Where surfaces live and who keeps their fences. One folder a backend.

pub mod software;
