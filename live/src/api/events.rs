//! Server-Sent Events: what happens, as it happens.

use std::rc::Rc;
use std::time::{Duration, Instant};

use network::http::{Answered, BodyWriter, Reply, StatusCode};
use network::{CloseReason, Connection, EventLoop, Handler};

use super::Api;
use super::answer::Wrong;
use super::query::Asked;
use crate::counters::ApiRefusal;
use crate::events::{EventId, Inbox};
use crate::limits;

/// A comment, which readers pass over.
const ALIVE: &[u8] = b":\n\n";
/// How long a reader waits before it comes back.
const RETRY: &[u8] = b"retry: 2000\n\n";
const ALIVE_TIMER: u32 = 1;

/// `GET /api/v1/events`
pub(super) fn stream(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    let last = match asked.last_event.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => match text.parse::<EventId>() {
            Ok(id) => Some(id),
            // A browser comes with what it heard last, whoever said that, and never again where it is
            // told that this is wrong.
            Err(_) if asked.get("last_event_id").is_none() => Some(EventId::BEGINNING),
            Err(_) => {
                let text = "expected the id of an event, such as 1700000000-42";
                return api.fail(reply, &Wrong::field("last_event_id", text));
            }
        },
    };
    if api.hub.is_draining() {
        let text = "this server is about to end; what happens is told no more";
        return api.fail(reply, &Wrong::new(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    if api.hub.events.readers() >= limits::EVENT_READERS {
        let text = format!(
            "{} read events on this loop already; there is room when one of them ends",
            limits::EVENT_READERS
        );
        // One that does not read is closed by then.
        let again_after = Some(limits::EVENTS_UNREAD.as_secs());
        let full = Wrong::new(StatusCode::SERVICE_UNAVAILABLE, text);
        return api.fail(reply, &Wrong { again_after, ..full });
    }
    let reader = Rc::clone(api);
    reply.stream(
        StatusCode::OK,
        |head| {
            api.cors(head)?;
            head.header("Cache-Control", "no-store")?;
            head.header("X-Accel-Buffering", "no")?;
            head.header("Content-Type", "text/event-stream").map(drop)
        },
        move |writer| {
            let taken = Taken { bytes: 0, at: Instant::now() };
            Box::new(Reader { api: reader, writer: Some(writer), inbox: None, last, taken })
        },
    )
}

struct Reader {
    api: Rc<Api>,
    writer: Option<BodyWriter>,
    inbox: Option<Rc<Inbox>>,
    last: Option<EventId>,
    taken: Taken,
}

/// When somebody who is behind last took something.
struct Taken {
    bytes: u64,
    at: Instant,
}

impl Taken {
    /// Whether it has taken nothing for too long, with so many bytes taken in all and so many not.
    fn is_stuck(&mut self, now: Instant, bytes: u64, left: u64) -> bool {
        if left == 0 || bytes != self.bytes {
            *self = Self { bytes, at: now };
        }
        now.saturating_duration_since(self.at) >= limits::EVENTS_UNREAD
    }
}

impl Handler for Reader {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if let Some(writer) = &self.writer {
            writer.send(conn, RETRY);
        }
        self.inbox = Some(self.api.hub.read_events(el, conn.id(), self.last));
        // Whether it reads is looked at where it is told that the connection is alive.
        conn.set_stalled(None);
        conn.start_timer(el, limits::EVENTS_ALIVE, ALIVE_TIMER);
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }

    fn due(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        let (Some(inbox), Some(writer)) = (&self.inbox, &self.writer) else { return };
        let messages = inbox.take();
        // Much that comes at once is nobody's fault: what counts is what was there before.
        if !messages.is_empty() && conn.queued() > limits::EVENTS_BEHIND {
            return self.give_up(conn);
        }
        for message in messages {
            writer.send_shared(conn, message);
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        // Of a Unix socket only its own queue is known.
        let unsent = conn.tcp_info().map_or(0, |info| info.unsent);
        let taken = conn.sent().saturating_sub(unsent);
        if self.taken.is_stuck(el.now(), taken, unsent + conn.queued() as u64) {
            return self.give_up(conn);
        }
        if let Some(writer) = &self.writer {
            writer.send(conn, ALIVE);
        }
        conn.start_timer(el, limits::EVENTS_ALIVE, ALIVE_TIMER);
    }

    fn drain(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        // Whatever is left to be told is told within moments: the client comes back for the rest.
        match self.writer.take() {
            Some(writer) => writer.end(conn),
            None => conn.close(),
        }
        conn.set_idle(Some(Duration::from_secs(1)));
    }

    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, _: &CloseReason) {
        self.api.hub.stop_reading_events(el, conn.id());
    }
}

impl Reader {
    fn give_up(&self, conn: &mut Connection) {
        self.api.hub.counters.refused(ApiRefusal::SlowReader);
        conn.close_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_something_now_and_then_is_not_stuck() {
        let began = Instant::now();
        let at = |share: u32| began + limits::EVENTS_UNREAD * share / 4;
        let mut taken = Taken { bytes: 0, at: began };
        assert!(!taken.is_stuck(at(3), 10, 90));
        assert!(!taken.is_stuck(at(6), 10, 190), "it took something three quarters ago");
        assert!(taken.is_stuck(at(7), 10, 190));
        assert!(!taken.is_stuck(at(7), 11, 189));
        assert!(!taken.is_stuck(at(12), 11, 0), "there is nothing to be taken");
        assert!(!taken.is_stuck(at(15), 11, 5));
        assert!(taken.is_stuck(at(16), 11, 5));
    }
}
