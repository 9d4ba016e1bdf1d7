//! Streams over WebSocket: the same paths, each packet a binary message.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use network::http::{Answered, Reply, Request};
use network::websocket::{CloseCode, Ended, Handler, Kind, Limits, Socket};
use network::{Connection, EventLoop, SourceId};

use super::http::playable;
use super::{Goodbye, Peer, ending};
use crate::counters::Reason;
use crate::format::{Container, Format, Framing};
use crate::hub::Hub;
use crate::log::view::{Start, View};
use crate::name::StreamName;
use crate::player::{Player, Progress};

/// What a player is told where nobody publishes what it asked for; 4000 and up are an application's.
const NOT_FOUND: CloseCode = CloseCode(4404);
/// A player has nothing to say: control frames, and a message or two that nobody reads.
const HEARD: usize = 4096;

pub(super) fn upgrade(
    hub: &Rc<Hub>,
    request: &Request<'_>,
    reply: Reply<'_>,
    el: &mut EventLoop,
    name: &StreamName,
    container: Container,
    start: Start,
) -> Answered {
    let view = hub.view(el, name, Format { container, framing: Framing::WebSocket });
    let (hub, id, asked) = (Rc::clone(hub), hub.next_id(), Instant::now());
    let limits = Limits { message: HEARD, ..Limits::default() };
    network::websocket::upgrade(request, reply, &[], limits, move |_| {
        let (player, waits, why) = (None, false, None);
        Box::new(WebSocketPlayer { hub, view, start, asked, player, waits, id, why })
    })
}

struct WebSocketPlayer {
    hub: Rc<Hub>,
    view: Rc<View>,
    start: Start,
    asked: Instant,
    player: Option<Player>,
    /// Waits for a publisher.
    waits: bool,
    id: String,
    why: Option<Reason>,
}

impl Handler for WebSocketPlayer {
    fn opened(&mut self, socket: &mut Socket<'_>, el: &mut EventLoop) {
        tracing::info!(
            conn = self.id, stream = %self.view.name, door = self.view.format.name(),
            peer = %Peer(socket.connection().peer()), "play"
        );
        if !self.join(socket.connection(), el, self.start) {
            self.waits = true;
            let wait = self.hub.settings.play.wait_for_publisher.max(Duration::from_millis(100));
            wait_on(&self.view, socket.connection().id(), el, wait);
        }
    }

    fn message(&mut self, _: &mut Socket<'_>, _: &mut EventLoop, _: Kind, _: &[u8]) {}

    fn writable(&mut self, socket: &mut Socket<'_>, _: &mut EventLoop) {
        self.pump(socket);
    }

    fn due(&mut self, socket: &mut Socket<'_>, el: &mut EventLoop) {
        if !self.waits {
            return self.pump(socket);
        }
        self.waits = false;
        let found = playable(&self.view, self.start);
        if !found.is_some_and(|start| self.join(socket.connection(), el, start)) {
            let words = format!("nobody publishes {}", self.view.name);
            self.leave(socket, Reason::NotFound, NOT_FOUND, &words);
        }
    }

    fn is_within_frame(&self) -> bool {
        self.player.as_ref().is_some_and(Player::is_within_packet)
    }

    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, ended: &Ended<'_>) {
        let known = match ended.error {
            Some(_) => Some(Reason::BadProtocol),
            None if self.hub.is_draining() => Some(Reason::Drained),
            None => None,
        };
        let (reason, mut detail) = ending(self.why.or(known), ended.connection);
        if let (Reason::BadProtocol, Some(error)) = (reason, &ended.error) {
            detail = error.to_string();
        }
        let goodbye = Goodbye {
            id: &self.id,
            stream: self.view.name.as_str(),
            door: self.view.format.name(),
            reason,
            detail: &detail,
        };
        match self.player.take() {
            Some(player) => goodbye.say(conn, player.seat().account(el.now()), &self.hub),
            None => {
                self.hub.counters.ended(reason);
                let Goodbye { id, stream, door, detail, .. } = goodbye;
                tracing::info!(
                    conn = id,
                    stream,
                    door,
                    reason = reason.label(),
                    detail,
                    "play ended before there was anything to play"
                );
            }
        }
    }
}

/// Has the connection marked due when it is worth looking for the stream again.
pub(super) fn wait_on(view: &Rc<View>, source: SourceId, el: &EventLoop, wait: Duration) {
    view.wait(el.now() + wait, Box::new(move |_, el| el.mark_due(source)));
}

impl WebSocketPlayer {
    fn join(&mut self, conn: &mut Connection, el: &EventLoop, start: Start) -> bool {
        let (view, counters, id) = (&self.view, Arc::clone(&self.hub.counters), conn.id());
        conn.compose(|out| {
            self.player = Player::join(view, start, id, &counters, el.now(), out);
        });
        if let Some(player) = &self.player {
            let door = self.view.format.name();
            self.hub.plays(&self.id, door, conn, player.seat(), self.asked);
        }
        conn.want_room();
        self.player.is_some()
    }

    fn pump(&mut self, socket: &mut Socket<'_>) {
        let Some(player) = &mut self.player else { return };
        // A peer that has said goodbye gets the rest of the frame it is in, and then ours.
        let progress = match socket.is_open() {
            true => player.pump(socket.connection()),
            false => player.pump_packet(socket.connection()),
        };
        match progress {
            Progress::Going => {}
            Progress::Over => {
                self.leave(socket, Reason::StreamEnded, CloseCode::NORMAL, "the stream is over");
            }
            Progress::Lost => {
                self.why = Some(Reason::Lost);
                socket.connection().close_now();
            }
        }
    }

    fn leave(&mut self, socket: &mut Socket<'_>, reason: Reason, code: CloseCode, words: &str) {
        if self.why.replace(reason).is_none() {
            // A session that is closing already needs no second goodbye.
            let _ = socket.close(code, words);
        }
    }
}
