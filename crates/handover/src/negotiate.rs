//! Negotiate: what every party can do with a surface, found by intersecting their offers. See [`handover_model::negotiate`].

pub use handover_model::negotiate::{
    Agreement, Candidate, Conflict, Lost, Offer, OfferEntry, SurfaceUsages, negotiate,
};
