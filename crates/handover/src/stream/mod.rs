//! A stream: surfaces that one producer fills and several consumers read, again and again.
//!
//! # Contract
//!
//! **Registered once.** When a consumer is added it gets one handle a surface. From then on a frame is an index and a number:
//! no surface is allocated or mapped, no descriptor passed.
//!
//! **A frame's way.** [`Producer::next`] gives a surface that nobody uses with a WRITE lease; [`Producer::publish`] releases it
//! and names it to every consumer. All of them may hold it at once and read in parallel. A surface is free again when the
//! last of its users has released it *and* every fence they left in its reservation has ended: the union of all users.
//!
//! **Fifo** consumers get every frame, in order; the producer runs out of surfaces if one of them stops. **Mailbox**
//! consumers get the newest: what is published to them holds no surface. With one of them about, the producer takes a surface
//! back by testing its reservation and never queues behind a reader, so a slow mailbox consumer cannot block it; a consumer
//! that finds its frame overwritten goes on to the next.
//!
//! **Exports.** A consumer added later with weaker flags may make the producer drop compression. The others find out at
//! their next acquire and decode anew; no frame is lost.
//!
//! **Death.** A consumer that hangs up holds nothing any more; what it left in reservations ends as that of any dead
//! participant. A producer that hangs up without `End` is [`Kind::PeerGone`](crate::Kind::PeerGone) to its consumers.

mod consumer;
mod draft;
mod peer;
mod producer;

use std::time::Duration;

use handover_model::wire::Roles;

pub use consumer::{Consumer, Frame};
pub use draft::{Draft, Published, Undrawn};
pub use producer::{ConsumerId, MAX_SURFACES, Producer};

/// How a consumer wants its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Every frame, in order. Back-pressure reaches the producer.
    Fifo,
    /// The newest frame. The producer never waits.
    Mailbox,
}

impl Delivery {
    /// "fifo" or "mailbox".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Mailbox => "mailbox",
        }
    }

    /// What a hello says of it.
    fn role(self) -> Roles {
        if self == Self::Mailbox { Roles::MAILBOX } else { Roles::empty() }
    }
}

/// How long one end of a stream has waited, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waited {
    /// For a surface that no consumer holds.
    pub pool_empty: Duration,
    /// For fences in reservations.
    pub fence: Duration,
    /// For the peer: a producer's next frame, or a consumer's answers when it was added.
    pub peer: Duration,
}

/// Version of the conversation, said in the first message of each side.
const VERSION: u32 = 1;
