//! The parts of the program `handover`, as a library so that its tests reach them.
//!
//! [`pipeline`] reads and checks the file that says who runs and who reads whom; [`run`] plans it, starts a process for
//! each participant and watches over them; [`participant`] is what such a process does. [`media`] reads and writes videos
//! and pictures, [`draw`] draws in software, [`picture`] shows who waited for whom. [`inspect`] shows who holds which
//! buffer, [`devices`] what the machine can do, [`decode`] what modifiers and codes of formats mean, [`layout`] where the elements of an
//! image lie, and [`convert`] puts them there. [`explain`] computes what synchronisation costs, and [`measure`] runs what it computes.

#![forbid(unsafe_code)]

mod chart;
mod columns;
pub mod convert;
pub mod decode;
pub mod devices;
pub mod draw;
pub mod explain;
pub mod inspect;
pub mod layout;
pub mod measure;
pub mod media;
pub mod participant;
pub mod picture;
pub mod pipeline;
pub mod run;
mod signals;
