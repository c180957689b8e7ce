//! Import rules: what a consumer does with a received handle and its metadata, in which order, and why.
//!
//! The steps are pure: they say what to check and what to do, and the backend does it. A handle is an allegation until the last
//! step has accepted it.

pub mod amdgpu;
pub mod stride;
