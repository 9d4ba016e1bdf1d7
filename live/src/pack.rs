//! Frames to the packets of a log, in each container.
//!
//! ```text
//!  frames   V a a V a V a a V a …
//!  FLV      V a a V a V a a V a …     a packet each
//!  TS       V . . Va  V . . Va  …     sound is gathered for a while
//!  MP4      . . . . . . . . [V…V][a…a]   chunks, each of one track, sound behind its pictures
//! ```

use std::sync::Arc;

use media::codec::Info;
use media::container::flv::packetizer::{Around, TooLong};
use media::container::flv::tag::Header;
use media::container::{mp4, ts};
use media::protocol::rtmp::chunk;
use media::{Codec, Frame, FrameKind, Time, Track};

use crate::format::{Configs, Container, Format};
use crate::limits;
use crate::log::index::Packet;

/// Where a frame stands in its stream.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    /// Which configurations are in force.
    pub epoch: u32,
    /// These.
    pub configs: &'a Arc<Configs>,
    /// The segment it belongs to.
    pub segment: u32,
    /// A player can begin with it.
    pub is_entry: bool,
}

/// What packers append to: bytes, and the packets they are.
pub struct Sink<'a> {
    /// Where the bytes begin in the log.
    pub base: u64,
    /// The bytes.
    pub bytes: &'a mut Vec<u8>,
    /// The packets.
    pub packets: &'a mut Vec<Packet>,
}

/// Packs the frames of one log.
pub struct Packer {
    format: Format,
    kind: Kind,
    /// What is not framed yet.
    scratch: Vec<u8>,
}

enum Kind {
    Frames,
    Ts(Box<Ts>),
    Mp4(Box<Mp4>),
}

impl Packer {
    /// For one format; chunks of MP4 last at most `part` microseconds, if frames allow.
    #[must_use]
    pub fn new(format: Format, part: i64) -> Self {
        let kind = match format.container {
            Container::Flv | Container::Rtmp => Kind::Frames,
            Container::Ts => Kind::Ts(Box::default()),
            Container::Mp4 => Kind::Mp4(Box::new(Mp4::new(part, true, true))),
            Container::Mp4Video => Kind::Mp4(Box::new(Mp4::new(part, true, false))),
            Container::Mp4Audio => Kind::Mp4(Box::new(Mp4::new(part, false, true))),
        };
        Self { format, kind, scratch: Vec::new() }
    }

    /// Appends a frame, or keeps it to be appended with others.
    ///
    /// # Errors
    /// The format has no room for it; nothing of it is appended.
    pub fn append(
        &mut self,
        frame: &Frame,
        placed: Placed<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), TooLong> {
        let Self { format, kind, scratch } = self;
        let mut out = Out { format: *format, scratch, sink };
        match kind {
            Kind::Frames => {
                let before = out.sink.bytes.len();
                append_frame(*format, frame, out.sink.bytes)?;
                out.note(before, Mark::of(frame, placed));
                Ok(())
            }
            Kind::Ts(ts) => ts.append(frame, placed, &mut out),
            Kind::Mp4(mp4) => mp4.append(frame, placed, &mut out),
        }
    }

    /// Appends what was kept.
    pub fn flush(&mut self, sink: &mut Sink<'_>) {
        let Self { format, kind, scratch } = self;
        let mut out = Out { format: *format, scratch, sink };
        match kind {
            Kind::Frames => {}
            Kind::Ts(ts) => ts.flush(&mut out),
            Kind::Mp4(mp4) => mp4.finish(None, &mut out),
        }
    }
}

/// What a packet is, its place in the log aside.
#[derive(Clone, Copy)]
struct Mark {
    time: Time,
    span: u32,
    epoch: u32,
    segment: u32,
    is_entry: bool,
    counters: u16,
}

impl Mark {
    fn of(frame: &Frame, placed: Placed<'_>) -> Self {
        let Placed { epoch, segment, is_entry, .. } = placed;
        Self { time: frame.dts, span: 0, epoch, segment, is_entry, counters: 0 }
    }
}

struct Out<'a, 's> {
    format: Format,
    scratch: &'a mut Vec<u8>,
    sink: &'a mut Sink<'s>,
}

impl Out<'_, '_> {
    /// What was appended from `before` on is a packet, if it is anything.
    fn note(&mut self, before: usize, mark: Mark) {
        if self.sink.bytes.len() == before {
            return;
        }
        let Mark { time, span, epoch, segment, is_entry, .. } = mark;
        let at = self.sink.base + before as u64;
        let counters = mark.counters;
        self.sink.packets.push(Packet { at, time, span, epoch, segment, is_entry, counters });
    }

    /// Appends what `write` gives as one packet, with its framing; `write` gives the counters before it
    /// where a player can begin with it.
    fn packet(&mut self, mark: Mark, write: impl FnOnce(&mut Vec<u8>) -> Option<u16>) {
        let before = self.sink.bytes.len();
        self.scratch.clear();
        let counters = write(self.scratch);
        let (is_entry, counters) = (counters.is_some(), counters.unwrap_or(0));
        let mark = Mark { is_entry, counters, ..mark };
        self.format.framing.around(&[self.scratch], self.sink.bytes);
        self.scratch.shrink_to(limits::RELEASE as usize);
        self.note(before, mark);
    }
}

/// A transport stream.
#[derive(Default)]
struct Ts {
    packetizer: ts::Packetizer,
    configs: Option<Arc<Configs>>,
    /// Of the first frame of sound that is gathered.
    gathered: Option<Mark>,
    segment: Option<u32>,
}

impl Ts {
    fn append(
        &mut self,
        frame: &Frame,
        placed: Placed<'_>,
        out: &mut Out<'_, '_>,
    ) -> Result<(), TooLong> {
        // What the tracks are stands in the tables and before each keyframe.
        if frame.kind == FrameKind::Config || frame.track == Track::Data {
            return Ok(());
        }
        let mark = Mark::of(frame, placed);
        let is_video = frame.track == Track::Video;
        let begins = self.segment != Some(mark.segment);
        if begins || is_video && mark.is_entry {
            self.flush(out);
        }
        if begins {
            self.segment = Some(mark.segment);
        }
        self.configure(placed.configs);
        // Sound alone can be begun with anywhere; a segment of it has to be.
        let is_entry = mark.is_entry && (is_video || begins);
        let under = if is_video { mark } else { self.gathered.unwrap_or(mark) };
        let mut result = Ok(ts::Appended::default());
        out.packet(under, |bytes| {
            result = self.packetizer.append(frame, is_entry, bytes);
            result.as_ref().ok().and_then(counters)
        });
        self.gathered = match self.packetizer.gathered() {
            0 => None,
            _ if is_video => self.gathered,
            _ => Some(self.gathered.filter(|_| !wrote(&result)).unwrap_or(mark)),
        };
        match result {
            Ok(_) => Ok(()),
            Err(ts::AppendError::TooLong(len)) => Err(TooLong(len)),
            Err(ts::AppendError::Payload(error)) => {
                tracing::debug!(%error, "a frame is left out of a transport stream");
                Ok(())
            }
        }
    }

    fn configure(&mut self, configs: &Arc<Configs>) {
        if self.configs.as_ref().is_some_and(|known| Arc::ptr_eq(known, configs)) {
            return;
        }
        let known = self.configs.replace(Arc::clone(configs));
        if known.is_some_and(|known| known.is_like(configs)) {
            return;
        }
        fn track<'a>(
            is: Option<&(Codec, Info)>,
            config: Option<&'a Frame>,
        ) -> Option<(Codec, &'a [u8])> {
            is.map(|(codec, _)| (*codec, config.map_or(&[][..], |config| &config.payload)))
        }
        let video = track(configs.infos.video.as_ref(), configs.video.as_ref());
        let audio = track(configs.infos.audio.as_ref(), configs.audio.as_ref());
        if let Err(error) = self.packetizer.configure(video, audio) {
            tracing::warn!(%error, "a track is not in the transport stream");
        }
    }

    fn flush(&mut self, out: &mut Out<'_, '_>) {
        if let Some(mark) = self.gathered.take() {
            out.packet(mark, |bytes| counters(&self.packetizer.flush(bytes)));
        }
    }
}

fn counters(appended: &ts::Appended) -> Option<u16> {
    appended.entry.as_ref().map(|entry| entry.counters.bits())
}

fn wrote(result: &Result<ts::Appended, ts::AppendError>) -> bool {
    result.as_ref().is_ok_and(|appended| appended.bytes > 0)
}

/// Fragments of MP4.
struct Mp4 {
    /// The most a chunk lasts, in microseconds.
    part: i64,
    with_video: bool,
    with_audio: bool,
    video: Option<Pending>,
    audio: Option<Pending>,
    configs: Option<Arc<Configs>>,
    /// What is kept belongs to these.
    epoch: u32,
    segment: u32,
}

/// A track and its frames that are not in a chunk yet.
struct Pending {
    description: Arc<mp4::Description>,
    packetizer: mp4::Packetizer,
    begins_at_entry: bool,
}

impl Mp4 {
    fn new(part: i64, with_video: bool, with_audio: bool) -> Self {
        Self {
            part: part + part / limits::PART_JITTER,
            with_video,
            with_audio,
            video: None,
            audio: None,
            configs: None,
            epoch: 0,
            segment: 0,
        }
    }

    fn append(
        &mut self,
        frame: &Frame,
        placed: Placed<'_>,
        out: &mut Out<'_, '_>,
    ) -> Result<(), TooLong> {
        let is_sample =
            matches!(frame.kind, FrameKind::Key | FrameKind::Delta | FrameKind::Disposable);
        if !is_sample {
            return Ok(());
        }
        let is_video = frame.track == Track::Video;
        let begins = is_video && placed.is_entry;
        // What lists name waits for the next frame: only that one tells whether the segment goes on,
        // and how long the last frame lasts.
        let is_listed = out.format.is_segmented();
        // Parts that are listed have about the same length, whatever keyframes come within a segment.
        let is_over = if is_listed { self.is_full(frame.track) } else { begins };
        // Another track's frame ends a segment too: its next part is of the next one.
        if is_over || placed.segment != self.segment {
            self.finish(Some(frame), out);
        }
        self.configure(placed, frame.dts, out);
        (self.epoch, self.segment) = (placed.epoch, placed.segment);
        if self.track(frame.track).is_none() {
            return Ok(());
        }
        if self.push(frame, begins).is_err() {
            self.finish(Some(frame), out);
            self.push(frame, begins)?;
        }
        if !is_listed && self.is_full(frame.track) {
            self.finish(None, out);
        }
        Ok(())
    }

    fn track(&mut self, track: Track) -> Option<&mut Pending> {
        match track {
            Track::Video => self.video.as_mut(),
            Track::Audio => self.audio.as_mut(),
            Track::Data => None,
        }
    }

    fn push(&mut self, frame: &Frame, begins: bool) -> Result<(), TooLong> {
        let Some(pending) = self.track(frame.track) else { return Ok(()) };
        if pending.packetizer.is_empty() {
            pending.begins_at_entry = begins;
        }
        pending.packetizer.push(frame).map_err(|error| TooLong(error.frame))
    }

    /// Another frame would make the chunk too long. Sound goes with the pictures where there are some.
    fn is_full(&mut self, track: Track) -> bool {
        let part = match track {
            Track::Audio if self.video.is_some() => self.part.saturating_mul(2),
            _ => self.part,
        };
        let Some(pending) = self.track(track) else { return false };
        let frames = i64::try_from(pending.packetizer.frames()).unwrap_or(i64::MAX).max(1);
        let duration = pending.packetizer.duration();
        duration.saturating_add(duration / frames) > part
    }

    /// Ends the chunks under way, pictures first. `next` is the frame behind them, if it is there.
    fn finish(&mut self, next: Option<&Frame>, out: &mut Out<'_, '_>) {
        let (epoch, segment) = (self.epoch, self.segment);
        let has_video = self.video.is_some();
        let tracks = [(Track::Video, self.video.as_mut()), (Track::Audio, self.audio.as_mut())];
        for (track, pending) in tracks {
            let Some(pending) = pending else { continue };
            let next = next.filter(|next| next.track == track).map(|next| next.dts);
            // The packet's mark is known when the chunk is there.
            let mut chunk = None;
            let before = out.sink.bytes.len();
            out.scratch.clear();
            if let Some(made) = pending.packetizer.finish(next, out.scratch) {
                out.format.framing.around(&[out.scratch], out.sink.bytes);
                chunk = Some(made);
            }
            if let Some(chunk) = chunk {
                let is_entry = match track {
                    Track::Video => pending.begins_at_entry,
                    _ => !has_video,
                };
                let span = u32::try_from(chunk.duration).unwrap_or(0);
                out.note(
                    before,
                    Mark { time: chunk.start, span, epoch, segment, is_entry, counters: 0 },
                );
            }
        }
    }

    /// Takes up new descriptions of the tracks; players that have others are told in band.
    fn configure(&mut self, placed: Placed<'_>, time: Time, out: &mut Out<'_, '_>) {
        if self.configs.as_ref().is_some_and(|known| Arc::ptr_eq(known, placed.configs)) {
            return;
        }
        let is_first = self.configs.replace(Arc::clone(placed.configs)).is_none();
        let video = placed.configs.video_in_mp4.as_ref().filter(|_| self.with_video);
        let audio = placed.configs.audio_in_mp4.as_ref().filter(|_| self.with_audio);
        let same = |pending: &Option<Pending>, new: Option<&Arc<mp4::Description>>| {
            pending.as_ref().map(|pending| &pending.description) == new
        };
        if same(&self.video, video) && same(&self.audio, audio) {
            return;
        }
        self.finish(None, out);
        self.video = video.map(Pending::new);
        self.audio = audio.map(Pending::new);
        if !is_first && out.format.container == Container::Mp4 {
            let (epoch, segment) = (placed.epoch, placed.segment);
            let mark = Mark { time, span: 0, epoch, segment, is_entry: false, counters: 0 };
            out.packet(mark, |bytes| {
                append_init(Container::Mp4, placed.configs, bytes);
                None
            });
        }
    }
}

impl Pending {
    fn new(description: &Arc<mp4::Description>) -> Self {
        Self {
            description: Arc::clone(description),
            packetizer: mp4::Packetizer::new((**description).clone()),
            begins_at_entry: false,
        }
    }
}

/// Appends a frame as FLV and RTMP have it, framing included; nothing if they have no words for it.
///
/// # Errors
/// There is no room for it; nothing is appended.
pub fn append_frame(format: Format, frame: &Frame, out: &mut Vec<u8>) -> Result<(), TooLong> {
    if format.container == Container::Rtmp {
        let Some(header) = Header::of(frame) else { return Ok(()) };
        let parts = [header.as_slice(), &frame.payload];
        return chunk::append_media(out, frame.track, frame.dts.millis(), &parts)
            .map_err(|chunk::TooLong(len)| TooLong(len));
    }
    let Some(around) = Around::frame(frame)? else { return Ok(()) };
    format.framing.around(&[around.before(), &frame.payload, around.after()], out);
    Ok(())
}

/// Appends the init segment of a container; nothing where none of its tracks can be in an MP4.
pub fn append_init(container: Container, configs: &Configs, out: &mut Vec<u8>) {
    let (video, audio) = (configs.video_in_mp4.as_deref(), configs.audio_in_mp4.as_deref());
    let tracks: Vec<&mp4::Description> = match container {
        Container::Mp4Video => video.into_iter().collect(),
        Container::Mp4Audio => audio.into_iter().collect(),
        _ => video.into_iter().chain(audio).collect(),
    };
    if !tracks.is_empty() {
        mp4::init_segment(&tracks, out);
    }
}
