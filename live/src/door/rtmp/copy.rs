//! RTMP players that cannot be sent what all others share: on another message stream, or without one of
//! the tracks. Few do so; each costs copies of its own.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use media::container::flv::tag::Header;
use media::protocol::rtmp::ServerSession;
use media::{Frame, Track};
use network::{Connection, SourceId};

use crate::counters::Counters;
use crate::limits;
use crate::log::view::{Cursor, Start, View};
use crate::player::{Account, Progress};
use crate::stream::frame_of;

/// A cursor in the log of tags whose packets are sent one by one.
pub struct CopyPlayer {
    view: Rc<View>,
    seat: usize,
    at: Rc<Cursor>,
    counters: Arc<Counters>,
    since: Instant,
    /// Sent before the first packet.
    configs: Vec<Frame>,
    wants_audio: bool,
    wants_video: bool,
}

impl CopyPlayer {
    pub fn join(
        view: &Rc<View>,
        start: Start,
        source: SourceId,
        counters: &Arc<Counters>,
        now: Instant,
    ) -> Option<Self> {
        let entry = view.entry(start)?;
        let time = entry.packet.time;
        let configs = entry.configs.frames();
        let configs =
            configs.map(|frame| Frame { dts: time, pts: time, ..frame.clone() }).collect();
        let (seat, at) = view.sit(source, entry.at);
        counters.players.join();
        Some(Self {
            view: Rc::clone(view),
            seat,
            at,
            counters: Arc::clone(counters),
            since: now,
            configs,
            wants_audio: true,
            wants_video: true,
        })
    }

    pub fn view(&self) -> &Rc<View> {
        &self.view
    }

    pub fn cursor(&self) -> &Rc<Cursor> {
        &self.at
    }

    pub fn want(&mut self, track: Track, wanted: bool) {
        match track {
            Track::Audio => self.wants_audio = wanted,
            Track::Video => self.wants_video = wanted,
            Track::Data => {}
        }
    }

    /// Sends packets until enough is queued.
    pub fn pump(
        &mut self,
        conn: &mut Connection,
        session: &mut ServerSession,
        message_stream: u32,
    ) -> Progress {
        let Some(file) = self.view.file() else { return Progress::Going };
        let mut at = self.at.get();
        if at < self.view.skip_before()
            && let Some((entry, configs)) = self.view.skip_from(at)
        {
            self.at.skip(entry.at - at);
            self.view.tally.skipped(entry.at - at);
            self.counters.skipped(entry.at - at, self.view.lag(at));
            let frames = configs.iter().flat_map(|configs| configs.frames());
            self.configs.extend(frames.map(|frame| Frame { dts: entry.time, ..frame.clone() }));
            at = entry.at;
        }
        if at < self.view.tail() {
            return Progress::Lost;
        }
        let from = at;
        let mut frames = std::mem::take(&mut self.configs);
        let mut room = limits::COPIED.saturating_sub(conn.queued());
        self.view.walk(at, |packet, end| {
            let len = usize::try_from(end - packet.at).unwrap_or(usize::MAX);
            if room == 0 {
                return false;
            }
            room = room.saturating_sub(len);
            let mut tag = vec![0; len];
            if file.read_at(&mut tag, packet.at).is_err() {
                return false;
            }
            frames.extend(frame_of(&tag, packet.time));
            at = end;
            true
        });
        self.view.tally.sent(at - from);
        self.at.set(at);
        for frame in frames {
            let wanted = match frame.track {
                Track::Audio => self.wants_audio,
                Track::Video => self.wants_video,
                Track::Data => true,
            };
            let Some(header) = Header::of(&frame).filter(|_| wanted) else { continue };
            let parts = [header.as_slice(), &frame.payload];
            let time = frame.dts.millis();
            // It fitted into a tag and the player plays: there is nothing to go wrong.
            let _ = session.send_media(message_stream, frame.track, time, &parts);
        }
        conn.compose(|out| session.take_output(out));
        match (at == self.view.head(), self.view.has_ended()) {
            (true, true) => Progress::Over,
            (true, false) => Progress::Going,
            (false, _) => {
                conn.want_room();
                Progress::Going
            }
        }
    }

    pub fn account(&self, now: Instant) -> Account {
        let (skips, skipped_bytes) = self.at.skipped();
        Account {
            seconds: now.saturating_duration_since(self.since).as_secs_f64(),
            skips,
            skipped_bytes,
            lag_ms: self.view.lag(self.at.get()) / 1000,
        }
    }
}

impl Drop for CopyPlayer {
    fn drop(&mut self) {
        self.view.stand_up(self.seat);
        self.counters.players.leave();
    }
}
