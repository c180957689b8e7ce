//! Negotiate: what every party can do with a surface, found by intersecting their offers. See [`handover_model::negotiate`].
//!
//! Offers are claims. On real devices [`prove`] tries the agreement before anybody relies on it.

mod proof;

pub use handover_model::negotiate::{
    Agreement, Candidate, Conflict, Lost, Offer, OfferEntry, SurfaceUsages, negotiate,
};
pub use proof::{Party, Proven, Refused, answer, prove};
