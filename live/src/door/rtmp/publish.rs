//! A connection that publishes: on the stream's own loop, read as it comes or by time.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use media::Track;
use media::protocol::rtmp::ServerSession;
use media::protocol::rtmp::error::Error;
use media::protocol::rtmp::server::App;
use media::protocol::rtmp::status::{Level, code};
use network::{Connection, EventLoop, Timer};

use super::{ONE_AT_A_TIME, Peer, Role, RtmpConnection};
use crate::counters::Reason;
use crate::hub::Ticket;
use crate::limits;
use crate::name::StreamName;
use crate::stream::BadMedia;

/// What a publisher asks for.
pub(super) struct Application {
    name: StreamName,
    message_stream: u32,
}

pub(super) struct Publishing {
    ticket: Ticket,
    name: StreamName,
    message_stream: u32,
    /// Bytes the connection had received before.
    before: u64,
    /// Runs until it is read again, where that goes by time: the kernel does not tell of each arrival.
    read: Option<Timer>,
    /// Its time has come: what is read is written at once.
    is_due: bool,
}

/// A connection between two loops.
struct Moving {
    session: Box<ServerSession>,
    id: String,
    app: App,
    application: Box<Application>,
}

/// The timer of a publisher that is read by time.
const READ: u32 = 1;

impl Publishing {
    /// A tag, if it is of what this one publishes.
    pub(super) fn take(
        &self,
        message_stream: u32,
        track: Track,
        time_ms: i64,
        payload: Bytes,
        now: Instant,
    ) -> Result<(), BadMedia> {
        if self.message_stream != message_stream || !self.ticket.is_valid() {
            return Ok(());
        }
        self.ticket.stream().borrow_mut().tag(track, time_ms, payload, now)
    }

    /// It is time to read what has come.
    pub(super) fn read(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        conn.read_now();
        self.is_due = true;
        // Also if nothing more has come.
        self.ticket.commit_by(el, el.now() + limits::READ_TAKES);
        let pause = self.ticket.stream().borrow().pause().max(limits::READ_BY_TIME);
        self.read = Some(conn.start_timer(el, pause, READ));
    }

    /// Has it read as all others. True where it was not.
    fn stop_timer(&mut self, conn: &mut Connection, el: &mut EventLoop) -> bool {
        let Some(timer) = self.read.take() else { return false };
        el.cancel(timer);
        if let Err(error) = conn.wake_at(1) {
            tracing::warn!(%error, "a publisher's socket is still read by time");
        }
        true
    }
}

impl RtmpConnection {
    pub(super) fn publish(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        message_stream: u32,
        name: &str,
        query: &str,
    ) -> Result<(), Error> {
        if !matches!(self.role, Role::Visitor) {
            return self.session.reject_publish(code::PUBLISH_DENIED, ONE_AT_A_TIME);
        }
        let name = match self.name(name) {
            Ok(name) => name,
            Err(error) => {
                let text = error.to_string();
                self.session.reject_publish(code::PUBLISH_BAD_NAME, &text)?;
                self.fail(conn, el, Reason::BadName, &text);
                return Ok(());
            }
        };
        tracing::debug!(conn = self.id, stream = %name, query, "asks to publish");
        self.role = Role::Applicant(Box::new(Application { name, message_stream }));
        self.decide(conn, el)
    }

    /// Lets the applicant publish, if it is on the stream's own loop; else it moves there.
    pub(super) fn decide(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
    ) -> Result<(), Error> {
        let Role::Applicant(application) = std::mem::replace(&mut self.role, Role::Visitor) else {
            return Ok(());
        };
        let Application { name, message_stream } = *application;
        if !self.hub.is_home_of(&name) {
            self.role = Role::Applicant(Box::new(Application { name, message_stream }));
            self.say(conn);
            self.move_home(conn);
            return Ok(());
        }
        match self.hub.publish(el, &name, Some(conn.id())) {
            Ok(ticket) => {
                tracing::info!(
                    conn = self.id, stream = %name, door = "rtmp", tls = conn.is_tls(),
                    peer = %Peer(conn.peer()), "publish"
                );
                self.hub.publishes(el, &self.id, "rtmp", Some(conn), &ticket);
                let before = conn.received();
                let publishing =
                    Publishing { ticket, name, message_stream, before, read: None, is_due: false };
                self.role = Role::Publisher(Box::new(publishing));
                // How long a publisher may be silent is looked after by its stream.
                conn.set_idle(None);
                self.session.accept_publish()
            }
            Err(refusal) => {
                let text = refusal.to_string();
                let code = match refusal.reason() {
                    Reason::NameTaken => code::PUBLISH_BAD_NAME,
                    _ => code::PUBLISH_DENIED,
                };
                self.session.reject_publish(code, &text)?;
                self.fail(conn, el, refusal.reason(), &text);
                Ok(())
            }
        }
    }

    fn move_home(&mut self, conn: &mut Connection) {
        let role = std::mem::replace(&mut self.role, Role::Visitor);
        let Role::Applicant(application) = role else { return };
        let home = self.hub.home_of(&application.name);
        // What stays behind is dropped when the connection has left.
        let session = std::mem::replace(&mut self.session, Box::new(ServerSession::new(0)));
        let (id, app) = (std::mem::take(&mut self.id), std::mem::take(&mut self.app));
        let moving = Moving { session, id, app, application };
        let hub = Rc::clone(&self.hub);
        conn.detach(move |el, detached| {
            hub.on(el, home, move |hub, el| {
                let Moving { session, id, app, application } = moving;
                let connection = Self {
                    hub: Rc::clone(hub),
                    session,
                    tls: None,
                    id,
                    app,
                    role: Role::Applicant(application),
                    visits_until: el.now() + hub.settings.handshake_within,
                    why: None,
                    detail: String::new(),
                };
                if let Err(error) = el.adopt(detached, Box::new(connection)) {
                    tracing::error!(%error, "a publisher's connection is lost");
                }
            });
        });
    }

    pub(super) fn commit(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let Role::Publisher(publishing) = &mut self.role else { return };
        let (pause, by_time) = {
            let stream = publishing.ticket.stream().borrow();
            (stream.pause(), stream.is_read_by_time() && !conn.is_tls())
        };
        // Where the kernel cannot do that the publisher is read as all others.
        if by_time && publishing.read.is_none() && conn.wake_at(limits::READ_AT).is_ok() {
            publishing.read = Some(conn.start_timer(el, pause, READ));
        } else if !by_time && publishing.stop_timer(conn, el) {
            conn.read_now();
        }
        let written = match publishing.read {
            None => publishing.ticket.commit(el),
            Some(_) if publishing.is_due || publishing.ticket.stream().borrow().has_much() => {
                publishing.is_due = false;
                publishing.ticket.commit_now(el)
            }
            Some(_) => Ok(()),
        };
        if let Err(error) = written {
            let text = format!("there is no memory for the stream: {error}");
            self.fail(conn, el, Reason::NoResources, &text);
        }
    }

    /// Tells a publisher that it is none any more.
    pub(super) fn reject_publisher(&mut self, code: &str, text: &str) {
        if let Role::Publisher(publishing) = &self.role {
            // A client that has ended its stream meanwhile need not be told.
            let _ = self.session.end_publish(publishing.message_stream, code, text);
        }
    }

    pub(super) fn stop_publishing(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        reason: Reason,
        detail: &str,
    ) {
        let role = std::mem::replace(&mut self.role, Role::Visitor);
        let Role::Publisher(mut publishing) = role else {
            self.role = role;
            return;
        };
        if publishing.stop_timer(conn, el) {
            // What it says next is wanted at once.
            conn.read_now();
        }
        let Publishing { ticket, name, before, .. } = *publishing;
        self.hub.counters.ended(reason);
        self.hub.unpublished(&self.id, reason, Some(conn));
        let seconds = el.now().saturating_duration_since(ticket.since()).as_secs_f64();
        let bytes = conn.received().saturating_sub(before);
        let (frames, keyframes) = match ticket.is_valid() {
            true => ticket.stream().borrow().frames(),
            // Its successor's are counted by now.
            false => (0, 0),
        };
        tracing::info!(
            conn = self.id, stream = %name, door = "rtmp", reason = reason.label(), detail,
            seconds = (seconds * 10.0).round() / 10.0, bytes, frames, keyframes,
            kbit_s = (bytes as f64 / 125.0 / seconds.max(0.001)).round(),
            "publish ended"
        );
        ticket.give_back(el);
        self.visits(conn, el);
    }

    /// Ends a publisher that has been replaced, or says nothing.
    pub(super) fn look_after_publisher(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let Role::Publisher(publishing) = &self.role else { return };
        if !publishing.ticket.is_valid() {
            let text = format!("{} is published by somebody else from now on", publishing.name);
            self.reject_publisher(code::PUBLISH_BAD_NAME, &text);
            self.end_publisher(conn, el, Reason::TakenOver, &text);
        } else if publishing.ticket.is_silent(el.now()) {
            self.reject_publisher(code::PUBLISH_IDLE, "Nothing was published for too long.");
            self.end_publisher(conn, el, Reason::Silent, "");
        }
    }

    /// Asks a publisher to come again, since the server ends.
    pub(super) fn drain_publisher(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let Role::Publisher(publishing) = &self.role else { return };
        let message_stream = publishing.message_stream;
        let text = "The server ends.";
        self.session.request_reconnect(None, text);
        self.session.status(message_stream, Level::Status, code::CONNECT_CLOSED, text);
        self.end_publisher(conn, el, Reason::Drained, "");
    }

    fn end_publisher(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        reason: Reason,
        detail: &str,
    ) {
        self.why = Some(reason);
        self.stop_publishing(conn, el, reason, detail);
        self.say(conn);
        conn.close();
    }
}
