//! Server-Sent Events: what happens, as it happens.

use std::rc::Rc;
use std::time::Duration;

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
            Err(_) => {
                let text = "expected the id of an event, such as 1700000000-42";
                return api.fail(reply, &Wrong::field("last_event_id", text));
            }
        },
    };
    if api.hub.events.readers() >= limits::EVENT_READERS {
        return api.fail(reply, &Wrong::busy());
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
        move |writer| Box::new(Reader { api: reader, writer: Some(writer), inbox: None, last }),
    )
}

struct Reader {
    api: Rc<Api>,
    writer: Option<BodyWriter>,
    inbox: Option<Rc<Inbox>>,
    last: Option<EventId>,
}

impl Handler for Reader {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if let Some(writer) = &self.writer {
            writer.send(conn, RETRY);
        }
        self.inbox = Some(self.api.hub.read_events(el, conn.id(), self.last));
        conn.start_timer(el, limits::EVENTS_ALIVE, ALIVE_TIMER);
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }

    fn due(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        let (Some(inbox), Some(writer)) = (&self.inbox, &self.writer) else { return };
        for message in inbox.take() {
            if conn.queued() + message.len() > limits::EVENTS_BEHIND {
                self.api.hub.counters.refused(ApiRefusal::SlowReader);
                return conn.close_now();
            }
            writer.send_shared(conn, message);
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
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
