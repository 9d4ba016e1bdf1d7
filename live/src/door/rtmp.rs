//! RTMP: connections of encoders and of players.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::protocol::rtmp::ServerSession;
use media::protocol::rtmp::chunk::PLAYED_MESSAGE_STREAM;
use media::protocol::rtmp::error::Error;
use media::protocol::rtmp::server::{App, Event, Play};
use media::protocol::rtmp::status::{Level, code};
use network::tls::TlsServer;
use network::{CloseReason, Connection, EventLoop, Handler, Timer};

use super::http::playable;
use super::rtmp_copy::CopyPlayer;
use super::websocket::wait_on;
use super::{Goodbye, Peer, ending, start_of};
use crate::counters::Reason;
use crate::format::Format;
use crate::hub::{Hub, Ticket};
use crate::limits;
use crate::log::view::{Cursor, Start, View};
use crate::name::StreamName;
use crate::player::{Player, Progress};

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

/// What a publisher asks for.
struct Application {
    name: StreamName,
    message_stream: u32,
}

struct Publishing {
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

struct Wish {
    view: Rc<View>,
    start: Start,
    message_stream: u32,
    asked: Instant,
    until: Instant,
}

struct Playing {
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

/// A connection between two loops.
struct Moving {
    session: Box<ServerSession>,
    id: String,
    app: App,
    application: Box<Application>,
}

impl Publishing {
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
                    if publishing.message_stream != message_stream || !publishing.ticket.is_valid()
                    {
                        continue;
                    }
                    let stream = Rc::clone(publishing.ticket.stream());
                    let taken = stream.borrow_mut().tag(track, time_ms, payload, el.now());
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
        if let Role::Player(playing) = &mut self.role
            && let Some(player) = &mut playing.shared
        {
            player.pump_packet(conn);
            if player.is_within_packet() {
                return;
            }
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

    // ---- publishing ----

    fn name(&self, name: &str) -> Result<StreamName, crate::name::NameError> {
        StreamName::new(&self.app.name, name)
    }

    fn publish(
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
    fn decide(&mut self, conn: &mut Connection, el: &mut EventLoop) -> Result<(), Error> {
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

    fn commit(&mut self, conn: &mut Connection, el: &mut EventLoop) {
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
    fn reject_publisher(&mut self, code: &str, text: &str) {
        if let Role::Publisher(publishing) = &self.role {
            // A client that has ended its stream meanwhile need not be told.
            let _ = self.session.end_publish(publishing.message_stream, code, text);
        }
    }

    fn stop_publishing(
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

    // ---- playing ----

    fn play(
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
    fn look(&mut self, conn: &mut Connection, el: &mut EventLoop) -> Result<(), Error> {
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
        if let Some((view, cursor)) = playing.place() {
            self.hub.plays(&self.id, "rtmp", conn, (view, cursor), asked);
        }
        conn.want_room();
        self.role = Role::Player(Box::new(playing));
        Ok(())
    }

    fn pump(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        // First, so that nothing is left to be sent when this is called for the last time.
        self.say(conn);
        self.leave_shared(conn, el);
        let Role::Player(playing) = &mut self.role else { return };
        if playing.is_paused && playing.ends.is_none() {
            // It is sent nothing, but told where it is over.
            if playing.view().is_some_and(|view| view.has_ended()) {
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
    fn end_playing(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: Reason) {
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

    fn stop_playing(
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
        let account = match (&playing.shared, &playing.copied) {
            (Some(player), _) => Some(player.account(now)),
            (None, Some(player)) => Some(player.account(now)),
            (None, None) => None,
        };
        if let Some((view, account)) = playing.view().zip(account) {
            let (id, stream) = (self.id.as_str(), view.name.as_str());
            let goodbye = Goodbye { id, stream, door: "rtmp", reason, detail };
            goodbye.say(conn, account, &self.hub);
        }
        self.visits(conn, el);
    }

    fn pause(&mut self, conn: &mut Connection, paused: bool) {
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
    fn want(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        track: media::Track,
        wanted: bool,
    ) {
        let Role::Player(playing) = &mut self.role else { return };
        match track {
            media::Track::Audio => playing.wants_audio = wanted,
            media::Track::Video => playing.wants_video = wanted,
            media::Track::Data => {}
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
        let view = self.hub.view(el, &player.view().name, Format::BASE);
        player.pump(conn);
        if !player.is_up_to_date() {
            return;
        }
        let (counters, now) = (Arc::clone(&self.hub.counters), el.now());
        let copied = CopyPlayer::join(&view, Start::Live, conn.id(), &counters, now);
        let Some(mut copied) = copied else { return };
        copied.want(media::Track::Audio, playing.wants_audio);
        copied.want(media::Track::Video, playing.wants_video);
        self.hub.clients.moved(&self.id, &view, copied.cursor());
        playing.copied = Some(copied);
        playing.shared = None;
    }

    /// Sends the rest of the packet a player is in; false where that cannot be done now.
    fn finish_packet(&mut self, conn: &mut Connection) -> bool {
        let Role::Player(playing) = &mut self.role else { return true };
        let Some(player) = &mut playing.shared else { return true };
        player.pump_packet(conn);
        !player.is_within_packet()
    }
}

impl Playing {
    /// Where it is in which log; nowhere while it is neither sent what others are nor copies.
    fn place(&self) -> Option<(&Rc<View>, &Rc<Cursor>)> {
        let shared = self.shared.as_ref().map(|player| (player.view(), player.cursor()));
        shared.or_else(|| self.copied.as_ref().map(|player| (player.view(), player.cursor())))
    }

    fn view(&self) -> Option<&Rc<View>> {
        let copied = || self.copied.as_ref().map(CopyPlayer::view);
        self.shared.as_ref().map(Player::view).or_else(copied)
    }
}

/// The timer of a publisher that is read by time.
const READ: u32 = 1;
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
            conn.read_now();
            publishing.is_due = true;
            // Also if nothing more has come.
            publishing.ticket.commit_by(el, el.now() + limits::READ_TAKES);
            let pause = publishing.ticket.stream().borrow().pause().max(limits::READ_BY_TIME);
            publishing.read = Some(conn.start_timer(el, pause, READ));
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
            Role::Publisher(publishing) if !publishing.ticket.is_valid() => {
                let text = format!("{} is published by somebody else from now on", publishing.name);
                self.reject_publisher(code::PUBLISH_BAD_NAME, &text);
                self.why = Some(Reason::TakenOver);
                self.stop_publishing(conn, el, Reason::TakenOver, &text);
                self.say(conn);
                conn.close();
            }
            Role::Publisher(publishing) if publishing.ticket.is_silent(el.now()) => {
                self.reject_publisher(code::PUBLISH_IDLE, "Nothing was published for too long.");
                self.why = Some(Reason::Silent);
                self.stop_publishing(conn, el, Reason::Silent, "");
                self.say(conn);
                conn.close();
            }
            Role::Visitor | Role::Applicant(_) | Role::Publisher(_) => {}
        }
        self.say(conn);
    }

    fn drain(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        match &self.role {
            Role::Player(_) => self.end_playing(conn, el, Reason::Drained),
            Role::Publisher(publishing) => {
                let message_stream = publishing.message_stream;
                let text = "The server ends.";
                self.session.request_reconnect(None, text);
                self.session.status(message_stream, Level::Status, code::CONNECT_CLOSED, text);
                self.why = Some(Reason::Drained);
                self.stop_publishing(conn, el, Reason::Drained, "");
                self.say(conn);
                conn.close();
            }
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
