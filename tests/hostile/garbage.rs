//! Bytes without sense, from the first one on or behind a good beginning.

use std::io::Write;
use std::net::Shutdown;

use crate::script::Script;
use crate::support::{Watched, connect, is_ended};

/// The same bytes each time.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn garbage() {
    let watched = Watched::start("");
    watched.refuses_protocol("noise", &[&[0xff][..], &noise(1, 5000)].concat(), "0xff where");
    let beginnings = [
        vec![3],
        Script::new().bytes,
        Script::connected().bytes,
        Script::publishing("noise").bytes,
        Script::publishing("noise").chunks_of(1 << 20).bytes,
        Script::connected().command(1, "play", vec!["demo".into()]).bytes,
    ];
    for seed in 0..16 {
        for beginning in &beginnings {
            let mut rude = connect(watched.server.rtmp);
            let _ = rude.write_all(&[&beginning[..], &noise(seed, 3000)].concat());
            // Noise may pass for a message that is not whole; it never will be.
            let _ = rude.shutdown(Shutdown::Write);
            is_ended(&mut rude);
        }
    }
    watched.is_well();
    let line = "a connection after all that";
    watched.refuses_protocol(line, b"GET / HTTP/1.1\r\n\r\n", "");
}
