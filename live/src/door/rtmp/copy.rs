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
use crate::log::view::{Start, View};
use crate::player::Progress;
use crate::seat::Seat;
use crate::stream::frame_of;

/// A cursor in the log of tags whose packets are sent one by one.
pub struct CopyPlayer {
    seat: Seat,
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
        Some(Self {
            seat: Seat::take(view, source, entry.at, counters, now),
            configs,
            wants_audio: true,
            wants_video: true,
        })
    }

    pub fn seat(&self) -> &Seat {
        &self.seat
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
        let view = self.seat.view();
        let Some(file) = view.file() else { return Progress::Going };
        let mut at = self.seat.cursor().get();
        if let Some(why) = view.lags(at)
            && let Some((entry, configs)) = self.seat.skip(at, why)
        {
            let frames = configs.iter().flat_map(|configs| configs.frames());
            self.configs.extend(frames.map(|frame| Frame { dts: entry.time, ..frame.clone() }));
            at = entry.at;
        }
        if at < view.tail() {
            return Progress::Lost;
        }
        let from = at;
        let mut frames = std::mem::take(&mut self.configs);
        let mut room = limits::COPIED.saturating_sub(conn.queued());
        view.walk(at, |packet, end| {
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
        self.seat.sent(at - from);
        self.seat.cursor().set(at);
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
        match (at == view.head(), view.has_ended()) {
            (true, true) => Progress::Over,
            (true, false) => Progress::Going,
            (false, _) => {
                conn.want_room();
                Progress::Going
            }
        }
    }
}
