//! A connection that plays, or waits for somebody to publish.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::Track;
use media::protocol::rtmp::chunk::PLAYED_MESSAGE_STREAM;
use media::protocol::rtmp::error::Error;
use media::protocol::rtmp::server::Play;
use media::protocol::rtmp::status::code;
use network::{Connection, EventLoop};

use super::copy::CopyPlayer;
use super::{ONE_AT_A_TIME, Peer, Role, RtmpConnection};
use crate::counters::Reason;
use crate::door::http::playable;
use crate::door::websocket::wait_on;
use crate::door::{Goodbye, start_of};
use crate::format::Format;
use crate::log::view::{Start, View};
use crate::player::{Player, Progress};
use crate::seat::Seat;

pub(super) struct Wish {
    view: Rc<View>,
    start: Start,
    message_stream: u32,
    asked: Instant,
    until: Instant,
}

pub(super) struct Playing {
    /// Nothing while it is paused.
    shared: Option<Player>,
    copied: Option<CopyPlayer>,
    message_stream: u32,
    is_paused: bool,
    wants_audio: bool,
    wants_video: bool,
    /// It has to be told that it is over, and why, once a packet is whole.
    ends: Option<Reason>,
}

impl RtmpConnection {
    pub(super) fn play(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        play: &Play,
    ) -> Result<(), Error> {
        if !matches!(self.role, Role::Visitor) {
            return self.session.reject_play(code::PLAY_FAILED, ONE_AT_A_TIME);
        }
        let name = match self.name(&play.name) {
            Ok(name) => name,
            Err(error) => {
                self.hub.counters.ended(Reason::BadName);
                return self.session.reject_play(code::PLAY_NOT_FOUND, &error.to_string());
            }
        };
        let message_stream = play.message_stream;
        // Who plays on another message stream than all others is sent copies, made from tags.
        let format = match message_stream {
            PLAYED_MESSAGE_STREAM => Format::RTMP,
            _ => Format::BASE,
        };
        let view = self.hub.view(el, &name, format);
        let start = start_of(&play.query);
        let wait = self.hub.settings.play.wait_for_publisher.max(Duration::from_millis(100));
        let asked = Instant::now();
        let until = el.now() + wait;
        let wish = Wish { view, start, message_stream, asked, until };
        if wish.view.entry(start).is_some() {
            return self.begin_to_play(conn, el, wish, start);
        }
        wait_on(&wish.view, conn.id(), el, wait);
        conn.set_idle(Some(wait + self.hub.settings.handshake_within));
        self.role = Role::Waiting(Box::new(wish));
        Ok(())
    }

    /// Looks again for what it waits for.
    pub(super) fn look(&mut self, conn: &mut Connection, el: &mut EventLoop) -> Result<(), Error> {
        let Role::Waiting(wish) = std::mem::replace(&mut self.role, Role::Visitor) else {
            return Ok(());
        };
        if let Some(start) = playable(&wish.view, wish.start) {
            return self.begin_to_play(conn, el, *wish, start);
        }
        if el.now() < wish.until && !wish.view.has_ended() {
            // It was woken for something else.
            self.role = Role::Waiting(wish);
            return Ok(());
        }
        self.hub.counters.ended(Reason::NotFound);
        let text = format!("nobody publishes {}", wish.view.name);
        tracing::info!(conn = self.id, stream = %wish.view.name, peer = %Peer(conn.peer()), "not found");
        self.visits(conn, el);
        self.session.reject_play(code::PLAY_NOT_FOUND, &text)
    }

    fn begin_to_play(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        wish: Wish,
        start: Start,
    ) -> Result<(), Error> {
        let Wish { view, message_stream, asked, .. } = wish;
        tracing::info!(
            conn = self.id, stream = %view.name, door = "rtmp", peer = %Peer(conn.peer()), "play"
        );
        conn.set_idle(None);
        self.session.accept_play()?;
        let mut playing = Playing {
            shared: None,
            copied: None,
            message_stream,
            is_paused: false,
            wants_audio: true,
            wants_video: true,
            ends: None,
        };
        let (counters, source, now) = (Arc::clone(&self.hub.counters), conn.id(), el.now());
        if view.format == Format::RTMP {
            conn.compose(|out| {
                self.session.take_output(out);
                playing.shared = Player::join(&view, start, source, &counters, now, out);
            });
        } else {
            playing.copied = CopyPlayer::join(&view, start, source, &counters, now);
        }
        if let Some(seat) = playing.seat() {
            self.hub.plays(&self.id, "rtmp", conn, seat, asked);
        }
        conn.want_room();
        self.role = Role::Player(Box::new(playing));
        Ok(())
    }

    pub(super) fn pump(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        // First, so that nothing is left to be sent when this is called for the last time.
        self.say(conn);
        self.leave_shared(conn, el);
        let Role::Player(playing) = &mut self.role else { return };
        if playing.is_paused && playing.ends.is_none() {
            // It is sent nothing, but told where it is over.
            if playing.seat().is_some_and(|seat| seat.view().has_ended()) {
                self.end_playing(conn, el, Reason::StreamEnded);
            }
            return;
        }
        let ends = playing.ends;
        let progress = if let Some(player) = &mut playing.shared {
            match ends.is_some() || self.session.has_output() {
                true => player.pump_packet(conn),
                false => player.pump(conn),
            }
        } else if let Some(player) = &mut playing.copied {
            player.pump(conn, &mut self.session, playing.message_stream)
        } else {
            return;
        };
        match progress {
            Progress::Going => {
                if let Some(reason) = ends {
                    self.end_playing(conn, el, reason);
                }
            }
            Progress::Over => self.end_playing(conn, el, Reason::StreamEnded),
            Progress::Lost => {
                self.why = Some(Reason::Lost);
                conn.close_now();
            }
        }
    }

    /// Tells a player that it is over, once the packet it is in is whole.
    pub(super) fn end_playing(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        reason: Reason,
    ) {
        let Role::Player(playing) = &mut self.role else { return };
        if playing.shared.as_ref().is_some_and(Player::is_within_packet) {
            playing.ends = Some(reason);
            conn.want_room();
            return;
        }
        let text = match reason {
            Reason::Drained => "The server ends.",
            _ => "The stream is over.",
        };
        // It plays: the session can say so.
        let _ = self.session.end_play(playing.message_stream, text);
        self.why = Some(reason);
        self.stop_playing(conn, el, reason, "");
        self.say(conn);
        conn.close();
    }

    pub(super) fn stop_playing(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        reason: Reason,
        detail: &str,
    ) {
        let Role::Player(playing) = &self.role else {
            if matches!(self.role, Role::Waiting(_)) {
                self.role = Role::Visitor;
            }
            return;
        };
        let now = el.now();
        if let Some(seat) = playing.seat() {
            let (id, stream) = (self.id.as_str(), seat.view().name.as_str());
            let goodbye = Goodbye { id, stream, door: "rtmp", reason, detail };
            goodbye.say(conn, seat.account(now), &self.hub);
        }
        self.visits(conn, el);
    }

    pub(super) fn pause(&mut self, conn: &mut Connection, paused: bool) {
        let Role::Player(playing) = &mut self.role else { return };
        let goes_on = std::mem::replace(&mut playing.is_paused, paused) && !paused;
        if goes_on {
            if let Some(player) = &mut playing.shared {
                player.skip_pause(conn);
            }
            conn.want_room();
        }
    }

    /// A track is wanted or not: who does not want all is sent copies.
    pub(super) fn want(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        track: Track,
        wanted: bool,
    ) {
        let Role::Player(playing) = &mut self.role else { return };
        match track {
            Track::Audio => playing.wants_audio = wanted,
            Track::Video => playing.wants_video = wanted,
            Track::Data => {}
        }
        if let Some(player) = &mut playing.copied {
            player.want(track, wanted);
        }
        self.leave_shared(conn, el);
    }

    /// Has a player that does not want all tracks sent copies, as soon as this loop has tags to make
    /// them of and the player has all that came before.
    fn leave_shared(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let Role::Player(playing) = &mut self.role else { return };
        let Some(player) = &mut playing.shared else { return };
        if playing.wants_audio && playing.wants_video || playing.is_paused {
            return;
        }
        let view = self.hub.view(el, &player.seat().view().name, Format::BASE);
        player.pump(conn);
        if !player.is_up_to_date() {
            return;
        }
        let (counters, now) = (Arc::clone(&self.hub.counters), el.now());
        let copied = CopyPlayer::join(&view, Start::Live, conn.id(), &counters, now);
        let Some(mut copied) = copied else { return };
        copied.want(Track::Audio, playing.wants_audio);
        copied.want(Track::Video, playing.wants_video);
        self.hub.clients.moved(&self.id, copied.seat());
        playing.copied = Some(copied);
        playing.shared = None;
    }

    /// Sends the rest of the packet a player is in; false where that cannot be done now.
    pub(super) fn finish_packet(&mut self, conn: &mut Connection) -> bool {
        let Role::Player(playing) = &mut self.role else { return true };
        let Some(player) = &mut playing.shared else { return true };
        player.pump_packet(conn);
        !player.is_within_packet()
    }
}

impl Playing {
    /// Where it is in which log; nowhere while it is neither sent what others are nor copies.
    fn seat(&self) -> Option<&Seat> {
        let copied = || self.copied.as_ref().map(CopyPlayer::seat);
        self.shared.as_ref().map(Player::seat).or_else(copied)
    }
}
