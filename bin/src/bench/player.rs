//! One player on its connection.

use std::rc::Rc;
use std::time::Duration;

use media::{FrameKind, Track};
use network::{CloseReason, Connection, EventLoop, Handler};

use super::check::Checker;
use super::crowd::{Crowd, Ending, Role};
use super::dialogue::{Dialogue, acknowledgement};

/// The timer that ends a player to whom no media has come.
const JOINED_BY_NOW: u32 = 1;
/// The timer of a probe that has seen its keyframe.
const LEAVE: u32 = 2;
/// From a probe's keyframe to its end: what a server has for who joins has come by then.
const LEAVE_AFTER: Duration = Duration::from_millis(100);
/// Bytes between two acknowledgements of a player that discards: what servers of this field ask for.
const ACKNOWLEDGE_EVERY: u64 = 1_250_000;

/// A player. A bulk player reads until media comes and has the kernel throw away the rest; those of
/// the sample read and check everything to the end, and probes to their first keyframe.
pub struct Player {
    crowd: Rc<Crowd>,
    number: usize,
    role: Role,
    dialogue: Option<Dialogue>,
    first_words: Vec<u8>,
    checker: Option<Box<Checker>>,
    joined: bool,
    /// It counts for the window already.
    measured: bool,
    /// Bytes acknowledged, where the protocol asks for that.
    acknowledged: Option<u64>,
    within: Duration,
}

impl Player {
    /// A player that has its dialogue's first words to say.
    pub fn new(
        crowd: Rc<Crowd>,
        number: usize,
        role: Role,
        dialogue: Dialogue,
        first_words: Vec<u8>,
        checker: Option<Box<Checker>>,
        within: Duration,
    ) -> Self {
        let acknowledged = dialogue.acknowledges().then_some(0);
        Self {
            crowd,
            number,
            role,
            dialogue: Some(dialogue),
            first_words,
            checker,
            joined: false,
            measured: false,
            acknowledged,
            within,
        }
    }

    fn hear(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        let now = self.crowd.clock.micros();
        let Some(dialogue) = &mut self.dialogue else { return input.len() };
        let (crowd, checker) = (&self.crowd, &mut self.checker);
        if let Some(from) = crowd.measured_from().filter(|_| !self.measured) {
            self.measured = true;
            if let Some(checker) = checker {
                checker.playback.count_anew(from);
            }
        }
        // A probe begins with what is kept for those who join, which is old by right.
        let counts = self.role == Role::Sample;
        let (mut joined, mut out) = (self.joined, Vec::new());
        let result = dialogue.receive(input, &mut out, &mut |frame| {
            // A configuration is of no use to a viewer yet.
            joined |= frame.track != Track::Data && frame.kind != FrameKind::Config;
            let age = checker.as_mut().and_then(|checker| checker.frame(frame, now));
            if let Some(age) = age.filter(|_| counts) {
                crowd.saw(self.number, now, age);
            }
        });
        conn.send(&out);
        crowd.moved(self.number, conn.received(), conn.sent());
        crowd.change(self.number, |record| {
            record.first_byte.get_or_insert(now);
            if let Some(checker) = checker {
                record.first_key = checker.first_key;
            }
        });
        if joined && !self.joined {
            self.joined = true;
            crowd.joined(self.number, now);
        }
        match result {
            Ok(done) => {
                if self.joined && self.role == Role::Bulk && conn.discard_input(crowd.low_water) {
                    self.dialogue = None;
                    self.acknowledged = self.acknowledged.map(|_| conn.received());
                }
                if self.role == Role::Probe
                    && self.checker.as_ref().is_some_and(|checker| checker.first_key.is_some())
                {
                    self.crowd.end(self.number, Ending::Left);
                    // What is on its way to it was carried: it is counted, too.
                    conn.discard_input(1);
                    self.dialogue = None;
                    conn.start_timer(el, LEAVE_AFTER, LEAVE);
                }
                done
            }
            Err(trouble) => {
                self.crowd.end(self.number, Ending::Troubled(trouble.to_string()));
                conn.close_now();
                input.len()
            }
        }
    }
}

impl Handler for Player {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.crowd.opened(self.number, conn.id());
        conn.send(&std::mem::take(&mut self.first_words));
        conn.start_timer(el, self.within, JOINED_BY_NOW);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        self.hear(conn, el, input)
    }

    fn discarded(&mut self, conn: &mut Connection, _: &mut EventLoop, _: usize) {
        let received = conn.received();
        self.crowd.moved(self.number, received, conn.sent());
        if let Some(acknowledged) = self.acknowledged
            && received - acknowledged >= ACKNOWLEDGE_EVERY
        {
            self.acknowledged = Some(received);
            conn.send(&acknowledgement(received));
        }
    }

    fn timer(&mut self, conn: &mut Connection, _: &mut EventLoop, key: u32) {
        if key == LEAVE {
            conn.close_now();
        } else if !self.joined {
            let waits = self.dialogue.as_ref().map_or("", |dialogue| dialogue.waits_for());
            let within = self.within;
            let why = format!("the server is silent: waited {within:?} {waits}");
            self.crowd.end(self.number, Ending::Troubled(why));
            conn.close_now();
        }
    }

    fn closed(&mut self, conn: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        self.crowd.moved(self.number, conn.received(), conn.sent());
        self.crowd.end(self.number, Ending::Closed(reason.to_string()));
        if let Some(checker) = self.checker.take() {
            self.crowd.keep(self.role, checker);
        }
    }
}
