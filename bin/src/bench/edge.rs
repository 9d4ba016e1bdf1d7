//! The edges of the measured window: bytes of players and of interfaces, noted at one moment.
//!
//! What an interface has carried and nobody has read yet would be a difference between the two. So all
//! that waits is taken first, and where more has come meanwhile it is tried again: a moment in which
//! nothing comes is found within the time of a picture, where there are few streams. With very many there
//! is none, and what comes in the meantime is little against what they carry.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use network::{EventLoop, Ready};

use super::crowd::Crowd;
use crate::kernel::{self, Interface};

/// How often it is tried.
const TRIES: u32 = 16;
/// The pause between two tries: shorter than that between two pictures.
const PAUSE: Duration = Duration::from_millis(4);

/// What had come and gone at an edge.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// As interfaces count it.
    pub interfaces: BTreeMap<String, Interface>,
    /// As all players and publishers of this process count it.
    pub counted: u64,
    /// Bytes that came while the two were looked at.
    pub apart: u64,
}

/// Notes where all players of a thread are, then calls `then`. Whoever `carries` waits for a moment in
/// which interfaces and players agree.
pub fn note(
    crowd: &Rc<Crowd>,
    el: &mut EventLoop,
    which: usize,
    carries: bool,
    then: Box<dyn FnOnce(&mut EventLoop)>,
) {
    attempt(crowd, el, which, if carries { TRIES } else { 1 }, then);
}

fn attempt(
    crowd: &Rc<Crowd>,
    el: &mut EventLoop,
    which: usize,
    tries: u32,
    then: Box<dyn FnOnce(&mut EventLoop)>,
) {
    let before = kernel::interfaces();
    for id in crowd.connections() {
        el.again(id, Ready::READABLE);
    }
    let crowd = Rc::clone(crowd);
    // All have taken what waited by then.
    el.defer(move |el| {
        let counted = crowd.counted();
        let interfaces = kernel::interfaces();
        let grown = interfaces.iter().filter_map(|(name, after)| {
            let ([after, _], [before, _]) = (after.received, before.get(name)?.received);
            Some(after.saturating_sub(before))
        });
        let apart = grown.max().unwrap_or(0);
        crowd.at_edge(which, Carried { interfaces, counted, apart });
        if apart > 0 && tries > 1 {
            el.after(PAUSE, move |el| attempt(&crowd, el, which, tries - 1, then));
        } else {
            then(el);
        }
    });
}
