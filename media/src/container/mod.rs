//! Frames to bytes and back. A container keeps nothing but what has not come whole.
//!
//! | folder | what it is |
//! | --- | --- |
//! | [`flv`] | FLV files and streams, and the tag bodies that RTMP sends alone |
//! | [`mp4`] | fragmented MP4 (CMAF): init segments and chunks |
//! | [`ts`] | MPEG-TS: packets of 188 bytes |

pub mod flv;
pub mod mp4;
pub mod ts;
