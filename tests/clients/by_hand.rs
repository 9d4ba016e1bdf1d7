//! A publisher that sends frames as they are: what ffmpeg's own cannot name in RTMP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use media::codec::Info;
use media::container::flv::packetizer::metadata;
use media::container::flv::tag::Header;
use media::container::mp4::Demuxer;
use media::protocol::rtmp::ClientSession;
use media::protocol::rtmp::client::{ClientConfig, Event, Purpose};
use media::protocol::rtmp::server::PublishKind;
use media::{Frame, FrameKind, Track};
use weir_tests::{PATIENCE, Program, Server};

use crate::support::{ffmpeg, words};

/// What ffmpeg makes of these arguments, in the order of its times, which begin at a second.
pub fn made(name: &str, args: &str) -> Vec<Frame> {
    let file = std::env::temp_dir().join(format!("weir-{}-{name}-in.mp4", std::process::id()));
    let mut command = ffmpeg();
    command.args(words(args)).args(words("-strict -2 -movflags +delay_moov+frag_keyframe"));
    command.args(words("-f mp4 -y")).arg(&file);
    let (status, said) = Program::spawn(command).end();
    assert!(status.success(), "{name}: {said:#?}");
    let mut demuxer = Demuxer::new();
    demuxer.receive(&std::fs::read(&file).unwrap()).unwrap();
    let _ = std::fs::remove_file(&file);
    let mut frames = Vec::new();
    while let Some(mut frame) = demuxer.next_frame().unwrap() {
        // Its edit lists begin before zero.
        (frame.dts, frame.pts) = (frame.dts.plus(1_000_000), frame.pts.plus(1_000_000));
        frames.push(frame);
    }
    frames.sort_by_key(|frame| (frame.kind != FrameKind::Config, frame.dts));
    // Nobody is sent what is heard before the first picture.
    let picture = |frame: &&Frame| frame.track == Track::Video && frame.kind == FrameKind::Key;
    if let Some(first) = frames.iter().find(picture).map(|frame| frame.dts) {
        frames.retain(|frame| frame.kind == FrameKind::Config || frame.dts >= first);
    }
    // Publishers announce their tracks: sound may be known by its frames alone, which come behind a picture.
    let codec = |track| frames.iter().find(|frame| frame.track == track).map(|frame| frame.codec);
    let (video, audio) = (codec(Track::Video), codec(Track::Audio));
    let (video, audio) = (video.map(|c| (c, Info::of(c))), audio.map(|c| (c, Info::of(c))));
    let video = video.as_ref().map(|(codec, info)| (*codec, info));
    let audio = audio.as_ref().map(|(codec, info)| (*codec, info));
    frames.insert(0, metadata(video, audio));
    frames
}

/// A connection that publishes.
pub struct Publisher {
    session: ClientSession,
    socket: TcpStream,
}

impl Publisher {
    /// Is let in as the publisher of this stream.
    pub fn connect(server: &Server, name: &str) -> Self {
        let purpose = Purpose::Publish(PublishKind::Live);
        let config = ClientConfig::from_url(&server.rtmp_url(name), purpose).unwrap();
        let mut socket = TcpStream::connect(server.rtmp).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut session = ClientSession::new(config, 7);
        let mut space = vec![0; 64 * 1024];
        loop {
            let mut out = Vec::new();
            session.take_output(&mut out);
            socket.write_all(&out).unwrap();
            match session.poll_event() {
                Some(Event::Started) => return Self { session, socket },
                Some(Event::Refused { code, description }) => panic!("{code}: {description}"),
                Some(_) => continue,
                None => {}
            }
            let n = socket.read(&mut space).unwrap();
            session.receive(&space[..n]).unwrap();
        }
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) -> std::io::Result<()> {
        if frame.track == Track::Data {
            self.session.send_metadata(frame.dts.millis(), &frame.payload).unwrap();
            return self.flush();
        }
        let header = Header::of(frame).unwrap();
        let parts = [header.as_slice(), &frame.payload];
        self.session.send_media(frame.track, frame.dts.millis(), &parts).unwrap();
        self.flush()
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut out = Vec::new();
        self.session.take_output(&mut out);
        self.socket.write_all(&out)
    }

    /// Sends frames when they are due, the first at once.
    pub fn send_in_time(&mut self, frames: &[Frame]) -> std::io::Result<()> {
        let begun = Instant::now();
        let first = frames.iter().find(|frame| frame.kind != FrameKind::Config).unwrap().dts;
        for frame in frames {
            let due = Duration::from_micros(frame.dts.since(first).max(0).unsigned_abs());
            if frame.kind != FrameKind::Config {
                std::thread::sleep((begun + due).saturating_duration_since(Instant::now()));
            }
            self.send(frame)?;
        }
        Ok(())
    }

    /// Says that it publishes no more.
    pub fn finish(mut self) {
        self.session.finish();
        let mut out = Vec::new();
        self.session.take_output(&mut out);
        self.socket.write_all(&out).unwrap();
    }
}
