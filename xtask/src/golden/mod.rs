//! Checks of vector files through the public API.

mod metadata;
