//! Bytes from one end to the other, and how connections begin and end.
#[path = "peers.rs"]
pub mod peers;
