//! The system calls of handover: one safe function per kernel call, every unsafe block proved.
//!
//! # What this crate does, and what it does not
//!
//! It makes one kernel call at a time safe to write down. Descriptors are owned and close-on-exec, errors are
//! [`std::io::Error`] with the errno kept, deadlines are absolute instants of `CLOCK_MONOTONIC`, and memory that
//! another process can write is never a `&[u8]`. It holds no protocol, no policy and no state: who may seal what,
//! what the words of a control file mean and how long to wait is decided by its callers.
//!
//! # The card on every function
//!
//! The docs of each function say which *call* it makes, which *permission* that needs, whether it *may block*, *since*
//! which kernel it exists where that is newer than 5.1, and which errors the caller should *retry*. Where a card says
//! "retries: none" the function has already repeated what is right to repeat (`EINTR`).
//!
//! # Contract: shared memory
//!
//! A mapping is memory that any other process may write at any time. Rust has no word for that, so the crate keeps to
//! accesses that cannot be torn apart or repeated by the compiler, and the following holds for all of them.
//!
//! 1. The range lies inside the mapping and the mapping outlives the access: both follow from a borrow of the mapping.
//! 2. Words are reached by atomic loads, stores and exchanges of one fixed size per address. The caller fixes that size
//!    (a control file does it per offset); mixing sizes at one address while both are in use is the caller's bug.
//! 3. Pixels are reached byte by byte as far as the language is concerned: through assembly that the compiler cannot
//!    look into, or through volatile accesses. A race there may yield torn pixels and nothing worse.
//! 4. A read-only mapping has a type of its own, without any store or exchange. Its words are loaded `Relaxed`, the one
//!    ordering that the language promises on memory that cannot be written.
//! 5. Touching a page behind the end of the file kills the process with `SIGBUS`. [`map`] refuses to map past the end,
//!    and a caller that maps a stranger's file checks for [`Seals::SHRINK`](memfd::Seals::SHRINK) first.
#![deny(unsafe_code)]

pub mod clock;
mod copy;
pub use copy::tiles;
pub mod dma_buf;
pub mod dma_heap;
pub mod drm;
pub mod epoll;
pub mod eventfd;
pub mod file;
pub mod futex;
mod ioctl;
pub mod kfd;
pub mod map;
pub mod memfd;
pub mod ofd;
pub mod poll;
pub mod process;
pub mod socket;
pub mod sync_file;
pub mod timer;
pub mod uapi;
pub mod udmabuf;
pub mod v4l2;
