//! Media protocols as state machines: what a peer says, and what it is told.
//!
//! Each protocol has its own folder. The contract they share is written once, in the crate's root.

pub mod rtmp;
