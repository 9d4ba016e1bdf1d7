//! Where a client's masking keys come from.

use aws_lc_rs::digest::{SHA256, digest};

/// Masking keys that nobody guesses who does not know the seed: SHA-256 over seed and counter, eight
/// keys per digest.
///
/// RFC 6455 asks for keys the sender of a payload cannot foresee (section 10.3), lest a payload show a
/// proxy the bytes of a request. The randomness is an argument, so that a run can be repeated.
pub struct Masks {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    /// Bytes of `block` handed out.
    used: usize,
}

impl Masks {
    /// Keys from a seed, which comes from the system's random source and is used for one session only.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let block = [0; 32];
        Self { seed, counter: 0, used: block.len(), block }
    }

    /// The next key.
    pub fn key(&mut self) -> [u8; 4] {
        loop {
            let unused = self.block.get(self.used..).unwrap_or_default();
            if let Some(key) = unused.first_chunk() {
                self.used += key.len();
                return *key;
            }
            self.refill();
        }
    }

    fn refill(&mut self) {
        let mut input = [0; 40];
        input[..32].copy_from_slice(&self.seed);
        input[32..].copy_from_slice(&self.counter.to_le_bytes());
        self.block.copy_from_slice(digest(&SHA256, &input).as_ref());
        self.counter = self.counter.wrapping_add(1);
        self.used = 0;
    }
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The seed stays out of logs.
        f.debug_struct("Masks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_differ_and_a_seed_repeats_them() {
        let (mut one, mut same, mut other) =
            (Masks::new([1; 32]), Masks::new([1; 32]), Masks::new([2; 32]));
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let key = one.key();
            assert_eq!(key, same.key());
            seen.insert(key);
            seen.insert(other.key());
        }
        assert!(seen.len() > 1990, "{} of 2000 keys differ", seen.len());
    }
}
