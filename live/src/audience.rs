//! What a stream's own loop knows of its publisher and of its players on all loops.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::clients::{ClientId, Report, Toll, Viewers};

/// Where a publisher comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its number.
    pub client: ClientId,
    /// How it publishes.
    pub protocol: &'static str,
    /// Its address, where it has one.
    pub peer: Option<SocketAddr>,
    /// Since when.
    pub began: SystemTime,
}

/// Who plays a stream, as the loops have told.
#[derive(Clone, Debug, Default)]
pub struct Audience {
    loops: Vec<(usize, Viewers)>,
    /// What happened to all of them since the stream began.
    pub toll: Toll,
}

impl Audience {
    /// A loop tells.
    pub fn hear(&mut self, place: usize, report: Report) {
        self.toll.add(&report.toll);
        self.loops.retain(|(other, _)| *other != place);
        if !report.viewers.is_empty() {
            self.loops.push((place, report.viewers));
        }
    }

    /// How many play, by protocol, in the order of the protocols' names.
    pub fn viewers(&self) -> Viewers {
        let mut all = Viewers::new();
        for (protocol, count) in self.loops.iter().flat_map(|(_, viewers)| viewers) {
            match all.iter_mut().find(|(other, _)| other == protocol) {
                Some((_, sum)) => *sum += count,
                None => all.push((protocol, *count)),
            }
        }
        all.sort_unstable();
        all
    }

    /// How many play.
    pub fn count(&self) -> u32 {
        self.loops.iter().flat_map(|(_, viewers)| viewers).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Reason;
    use crate::left_out::{Skip, Skips};

    #[test]
    fn the_newest_report_of_each_loop_counts() {
        let mut audience = Audience::default();
        let skips = Skips::default().with(Skip::Bytes, 2);
        let toll = Toll { sent: 5, skips, ended: vec![(Reason::Lost, 1)] };
        for (place, viewers) in [
            (0, vec![("rtmp", 2)]),
            (1, vec![("rtmp", 1), ("http-flv", 4)]),
            (0, vec![("rtmp", 3)]),
        ] {
            audience.hear(place, Report { viewers, toll: toll.clone() });
        }
        assert_eq!(audience.viewers(), [("http-flv", 4), ("rtmp", 4)]);
        assert_eq!(audience.count(), 8);
        assert_eq!((audience.toll.sent, audience.toll.skips.times()), (15, 3));
        assert_eq!(audience.toll.ended, [(Reason::Lost, 3)]);
        audience.hear(1, Report { viewers: Vec::new(), toll: Toll::default() });
        assert_eq!(audience.count(), 3);
    }
}
