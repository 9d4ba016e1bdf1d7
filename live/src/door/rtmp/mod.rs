//! RTMP: connections of encoders and of players.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `mod.rs` | a connection, and what the client says |
//! | `publish` | one that publishes |
//! | `play` | one that plays, or waits for somebody to publish |
//! | `copy` | players that cannot be sent what all others share |

mod copy;
mod play;
mod publish;

use std::rc::Rc;
use std::time::Instant;

use media::protocol::rtmp::ServerSession;
use media::protocol::rtmp::error::Error;
use media::protocol::rtmp::server::{App, Event};
use media::protocol::rtmp::status::code;
use network::tls::TlsServer;
use network::{CloseReason, Connection, EventLoop, Handler};

use super::{Peer, ending};
use crate::counters::Reason;
use crate::hub::Hub;
use crate::name::StreamName;
use play::{Playing, Wish};
use publish::{Application, Publishing};

/// A connection to the RTMP door. It publishes one stream or plays one, at a time.
pub struct RtmpConnection {
    hub: Rc<Hub>,
    session: Box<ServerSession>,
    /// For who speaks TLS at this door; nothing once that is known.
    tls: Option<TlsServer>,
    id: String,
    app: App,
    role: Role,
    /// A visitor has to have become something else by then, however busy it is meanwhile.
    visits_until: Instant,
    /// Why it is closing, if it was decided here.
    why: Option<Reason>,
    /// What the log says beside the reason.
    detail: String,
}

enum Role {
    /// Nothing yet, or not any more.
    Visitor,
    /// It wants to publish: decided once it is on the stream's own loop.
    Applicant(Box<Application>),
    Publisher(Box<Publishing>),
    /// It wants to play what nobody publishes yet.
    Waiting(Box<Wish>),
    Player(Box<Playing>),
}

impl RtmpConnection {
    /// For a connection that was just accepted. With a certificate it may speak TLS.
    pub fn accepted(
        hub: &Rc<Hub>,
        el: &mut EventLoop,
        tls: Option<&TlsServer>,
    ) -> Box<dyn Handler> {
        Box::new(Self {
            hub: Rc::clone(hub),
            session: Box::new(ServerSession::new(el.random())),
            tls: tls.cloned(),
            id: hub.next_id(),
            app: App::default(),
            role: Role::Visitor,
            visits_until: el.now() + hub.settings.handshake_within,
            why: None,
            detail: String::new(),
        })
    }

    /// It publishes or plays no more, and may begin again.
    fn visits(&mut self, conn: &mut Connection, el: &EventLoop) {
        let within = self.hub.settings.handshake_within;
        self.role = Role::Visitor;
        self.visits_until = el.now() + within;
        conn.set_idle(Some(within));
    }

    // ---- what the client says ----

    fn receive(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) {
        if matches!(self.role, Role::Visitor) && el.now() >= self.visits_until {
            return self.fail(conn, el, Reason::Idle, "it neither published nor played in time");
        }
        let received = self.session.receive(input);
        // What came before a fault still counts.
        let ran = self.run(conn, el);
        if let Err(error) = received.and(ran) {
            self.fail(conn, el, Reason::BadProtocol, &error.to_string());
        }
        self.commit(conn, el);
        self.say(conn);
    }

    fn run(&mut self, conn: &mut Connection, el: &mut EventLoop) -> Result<(), Error> {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connect(connect) => {
                    tracing::debug!(
                        conn = self.id, app = connect.app.name, client = connect.flash_version,
                        peer = %Peer(conn.peer()), "connect"
                    );
                    self.app = connect.app;
                }
                Event::Publish { message_stream, name, query, .. } => {
                    self.publish(conn, el, message_stream, &name, &query)?;
                }
                Event::Media { track, time_ms, payload, message_stream } => {
                    let Role::Publisher(publishing) = &self.role else { continue };
                    let taken = publishing.take(message_stream, track, time_ms, payload, el.now());
                    if let Err(error) = taken {
                        self.fail(conn, el, Reason::BadMedia, &error.to_string());
                        return Ok(());
                    }
                }
                Event::Unpublish { .. } => {
                    self.stop_publishing(conn, el, Reason::PeerLeft, "it said so");
                }
                Event::Play(play) => self.play(conn, el, &play)?,
                Event::Stop { .. } => {
                    let is_whole = self.finish_packet(conn);
                    self.stop_playing(conn, el, Reason::PeerLeft, "it said so");
                    if !is_whole {
                        // Nothing can follow the half of a packet that has left.
                        self.why = Some(Reason::PeerLeft);
                        conn.close();
                        return Ok(());
                    }
                }
                Event::Pause { paused, .. } => self.pause(conn, paused),
                Event::Seek { message_stream, .. } => {
                    let text = "A live stream has no other places.";
                    self.session.answer_seek(message_stream, false, text);
                }
                Event::Receive { track, wanted, .. } => self.want(conn, el, track, wanted),
                Event::Pong { .. } => {}
            }
        }
        Ok(())
    }

    /// Sends what the session has to say, where a packet ends.
    fn say(&mut self, conn: &mut Connection) {
        if !self.session.has_output() {
            return;
        }
        if !self.finish_packet(conn) {
            return;
        }
        conn.compose(|out| self.session.take_output(out));
        if matches!(self.role, Role::Player(_)) {
            // The log goes on behind it.
            conn.want_room();
        }
    }

    /// Ends the connection because of what the client did.
    fn fail(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: Reason, detail: &str) {
        if self.why.is_some() {
            return;
        }
        self.why = Some(reason);
        self.detail = detail.to_owned();
        match &self.role {
            Role::Publisher(_) => {
                self.reject_publisher(code::PUBLISH_DENIED, detail);
                self.stop_publishing(conn, el, reason, detail);
            }
            Role::Player(_) | Role::Waiting(_) => self.stop_playing(conn, el, reason, detail),
            Role::Visitor | Role::Applicant(_) => {
                self.hub.counters.ended(reason);
                tracing::warn!(
                    conn = self.id, peer = %Peer(conn.peer()), reason = reason.label(), detail,
                    "connection refused"
                );
            }
        }
        self.say(conn);
        conn.close();
    }

    fn name(&self, name: &str) -> Result<StreamName, crate::name::NameError> {
        StreamName::new(&self.app.name, name)
    }
}

/// The first byte of who speaks TLS; RTMP begins with a 3.
const TLS_HANDSHAKE: u8 = 0x16;
const ONE_AT_A_TIME: &str = "This connection publishes or plays already; open another one.";

impl Handler for RtmpConnection {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if matches!(self.role, Role::Applicant(_)) {
            let decided = self.decide(conn, el).and_then(|()| self.run(conn, el));
            if let Err(error) = decided {
                self.fail(conn, el, Reason::BadProtocol, &error.to_string());
            }
            self.commit(conn, el);
            self.say(conn);
        }
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        if let Some(tls) = self.tls.take()
            && input.first() == Some(&TLS_HANDSHAKE)
            && !conn.is_tls()
        {
            if let Err(error) = conn.begin_tls(&tls) {
                self.fail(conn, el, Reason::NoResources, &error.to_string());
            }
            return 0;
        }
        self.receive(conn, el, input);
        input.len()
    }

    fn writable(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.pump(conn, el);
        self.say(conn);
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        if let Role::Publisher(publishing) = &mut self.role {
            publishing.read(conn, el);
        }
    }

    fn due(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        match &self.role {
            Role::Player(_) => self.pump(conn, el),
            Role::Waiting(_) => {
                let looked = self.look(conn, el).and_then(|()| self.run(conn, el));
                if let Err(error) = looked {
                    self.fail(conn, el, Reason::BadProtocol, &error.to_string());
                }
            }
            Role::Publisher(_) => self.look_after_publisher(conn, el),
            Role::Visitor | Role::Applicant(_) => {}
        }
        self.say(conn);
    }

    fn drain(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        match &self.role {
            Role::Player(_) => self.end_playing(conn, el, Reason::Drained),
            Role::Publisher(_) => self.drain_publisher(conn, el),
            _ => conn.close(),
        }
    }

    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        let (reason, detail) = ending(self.why, reason);
        match &self.role {
            Role::Publisher(_) => self.stop_publishing(conn, el, reason, &detail),
            Role::Player(_) => self.stop_playing(conn, el, reason, &detail),
            Role::Visitor | Role::Applicant(_) | Role::Waiting(_) => {
                if self.why.is_none() && reason == Reason::Idle {
                    self.hub.counters.ended(reason);
                    tracing::info!(
                        conn = self.id, peer = %Peer(conn.peer()), reason = reason.label(),
                        "connection closed: it neither published nor played"
                    );
                }
            }
        }
    }
}
