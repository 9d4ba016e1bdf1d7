//! The digest handshake: where digests are hidden, and how they are made.
//!
//! ```text
//! first packet (C1, S1), 1536 bytes:
//!
//!   time 4 | version 4 | first half, 764 bytes | second half, 764 bytes
//!
//! One half has the digest in it, the other a public key of the encrypted variants (here: random):
//!
//!   offset 4 | ... | 32 bytes of digest | ...      the digest is (sum of the 4 bytes) mod 728 behind them
//!
//! digest = HMAC-SHA256(key of the sender's role, shortened; the packet without the digest)
//!
//! second packet (C2, S2): 1504 random bytes | 32 bytes of proof
//!
//! proof = HMAC-SHA256(HMAC-SHA256(key of the sender's role, whole; the digest it answers); the 1504 bytes)
//! ```
//!
//! The keys are in every player and server since 2009; they keep nobody out.

use super::PACKET;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key, Tag, sign};

const DIGEST: usize = 32;
/// Positions a digest may take within its half.
const PLACES: usize = 764 - 4 - DIGEST;

const CLIENT_KEY: &[u8; 62] = b"Genuine Adobe Flash Player 001\
    \xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57\
    \x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae";
const SERVER_KEY: &[u8; 68] = b"Genuine Adobe Flash Media Server 001\
    \xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57\
    \x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae";

/// Who made a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Client,
    Server,
}

impl Role {
    fn whole(self) -> Key {
        match self {
            Self::Client => Key::new(HMAC_SHA256, CLIENT_KEY),
            Self::Server => Key::new(HMAC_SHA256, SERVER_KEY),
        }
    }

    /// The readable part of the key.
    fn short(self) -> Key {
        let (key, readable): (&[u8], usize) = match self {
            Self::Client => (CLIENT_KEY, CLIENT_KEY.len() - 32),
            Self::Server => (SERVER_KEY, SERVER_KEY.len() - 32),
        };
        Key::new(HMAC_SHA256, key.get(..readable).unwrap_or(key))
    }
}

/// Which half of a first packet has the digest in it: the two schemes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    First,
    Second,
}

impl Half {
    fn starts(self) -> usize {
        match self {
            Self::First => 8,
            Self::Second => 8 + 764,
        }
    }

    /// Cuts a first packet into what is before, in, and after the digest.
    fn cut(self, packet: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
        let offset = packet.get(self.starts()..)?.first_chunk::<4>()?;
        let sum: usize = offset.iter().map(|byte| usize::from(*byte)).sum();
        let (before, rest) = packet.split_at_checked(self.starts() + 4 + sum % PLACES)?;
        let (digest, after) = rest.split_at_checked(DIGEST)?;
        Some((before, digest, after))
    }
}

fn digest(before: &[u8], after: &[u8], role: Role) -> Tag {
    let mut context = Context::with_key(&role.short());
    context.update(before);
    context.update(after);
    context.sign()
}

/// The digest in a first packet, if there is one.
pub fn find(packet: &[u8], role: Role) -> Option<(Half, Vec<u8>)> {
    // Who sends no version sends no digest.
    if packet.get(4..8).is_none_or(|version| version == [0; 4]) {
        return None;
    }
    [Half::First, Half::Second].into_iter().find_map(|half| {
        let (before, found, after) = half.cut(packet)?;
        (digest(before, after, role).as_ref() == found).then(|| (half, found.to_vec()))
    })
}

/// Puts the digest into the first packet that begins at `at`.
pub fn sign_first(out: &mut [u8], at: usize, half: Half, role: Role) {
    let Some((tag, place)) = out.get(at..).and_then(|packet| {
        let (before, _, after) = half.cut(packet)?;
        Some((digest(before, after, role), at + before.len()))
    }) else {
        return;
    };
    put(out, place, &tag);
}

/// Puts the proof into the second packet that begins at `at`.
pub fn sign_second(out: &mut [u8], at: usize, answered: &[u8], role: Role) {
    let key = Key::new(HMAC_SHA256, sign(&role.whole(), answered).as_ref());
    let Some(tag) = out.get(at..at + PACKET - DIGEST).map(|random| sign(&key, random)) else {
        return;
    };
    put(out, at + PACKET - DIGEST, &tag);
}

fn put(out: &mut [u8], at: usize, tag: &Tag) {
    if let Some(place) = out.get_mut(at..at + DIGEST) {
        place.copy_from_slice(tag.as_ref());
    }
}

/// Whether the last 32 bytes of a second packet prove that this digest was read.
#[cfg(test)]
pub fn proves(packet: &[u8], answered: &[u8], role: Role) -> bool {
    let key = Key::new(HMAC_SHA256, sign(&role.whole(), answered).as_ref());
    let (random, proof) = packet.split_at(PACKET - DIGEST);
    sign(&key, random).as_ref() == proof
}
