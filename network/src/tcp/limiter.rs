//! How many connections there may be, in all and from one address.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

/// Counts connections, in all and by address, over as many listeners and loops as share it (by
/// `clone`). Looked at when a connection is accepted and when it ends, never in between.
#[derive(Clone, Debug)]
pub struct Limiter {
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    most: usize,
    most_per_address: usize,
    open: AtomicUsize,
    full: AtomicUsize,
    address_full: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// Why a connection may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The listener has all the connections it may have.
    #[error("{0} connections are open, which is the limit")]
    Full(usize),
    /// That address has all the connections it may have.
    #[error("{0} connections of this address are open, which is the limit")]
    AddressFull(usize),
}

/// One admitted connection; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Pass {
    counts: Arc<Counts>,
    address: Option<IpAddr>,
}

impl Limiter {
    /// At most `most` connections at a time, and at most `most_per_address` from one address.
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self {
            counts: Arc::new(Counts {
                most,
                most_per_address,
                open: AtomicUsize::new(0),
                full: AtomicUsize::new(0),
                address_full: AtomicUsize::new(0),
                by_address: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// Asks for a place.
    ///
    /// # Errors
    /// There is none left.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<Pass, Refusal> {
        let counts = &self.counts;
        let admitted = counts
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < counts.most).then_some(open + 1)
            })
            .is_ok();
        if !admitted {
            counts.full.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::Full(counts.most));
        }
        // From here on dropping the pass frees the place in the total.
        let mut pass = Pass { counts: Arc::clone(counts), address: None };
        if counts.most_per_address != usize::MAX {
            // One who calls by IPv4 is the same at a listener that serves both families.
            if let Some(address) = address.map(|address| address.to_canonical()) {
                let mut map = counts.by_address.lock().unwrap_or_else(PoisonError::into_inner);
                let count = map.entry(address).or_insert(0);
                if *count >= counts.most_per_address {
                    drop(map);
                    counts.address_full.fetch_add(1, Ordering::Relaxed);
                    return Err(Refusal::AddressFull(counts.most_per_address));
                }
                *count += 1;
                pass.address = Some(address);
            }
        }
        Ok(pass)
    }

    /// Places taken at the moment.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// How many were refused so far since there were too many in all.
    pub fn refused(&self) -> usize {
        self.counts.full.load(Ordering::Relaxed)
    }

    /// How many were refused so far since there were too many from their address.
    pub fn refused_by_address(&self) -> usize {
        self.counts.address_full.load(Ordering::Relaxed)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut map = self.counts.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = map.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    map.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_places_come_back() {
        let limiter = Limiter::new(3, 2);
        let (a, b) = (Some([127, 0, 0, 1].into()), Some([127, 0, 0, 2].into()));
        let first = limiter.admit(a).unwrap();
        let _second = limiter.admit(a).unwrap();
        assert_eq!(limiter.admit(a).unwrap_err(), Refusal::AddressFull(2));
        assert_eq!(limiter.open(), 2, "a refused one takes no place");
        let _third = limiter.admit(b).unwrap();
        assert_eq!(limiter.admit(b).unwrap_err(), Refusal::Full(3));
        drop(first);
        let _fourth = limiter.admit(a).unwrap();
        assert_eq!((limiter.open(), limiter.refused(), limiter.refused_by_address()), (3, 1, 1));
    }
}
