//! What the MPEG-TS packetizer writes is MPEG-TS to ffmpeg, and what ffmpeg writes is to the demuxer.

use std::path::PathBuf;
use std::process::Command;

use media::container::ts::{Demuxer, Packetizer, packetizer};
use media::testcard::{Options, TestCard};
use media::{Codec, Frame, FrameKind, Time, Track};

use crate::support::{ffmpeg, probe, words};

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("weir-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("a file in the temporary folder");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path of text")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Frames of a stream that begins with its configurations, as packets; where its entries are.
fn packets(frames: &[Frame]) -> (Vec<u8>, Vec<usize>) {
    let config = |track| {
        let mut found = frames.iter().filter(|frame| frame.track == track);
        let first = found.clone().find(|frame| frame.kind == FrameKind::Config);
        first.or(found.next()).map(|frame| match frame.kind {
            FrameKind::Config => (frame.codec, &frame.payload[..]),
            _ => (frame.codec, &[][..]),
        })
    };
    let (mut packetizer, mut out, mut entries) = (Packetizer::new(), Vec::new(), Vec::new());
    packetizer.configure(config(Track::Video), config(Track::Audio)).expect("good records");
    for frame in frames {
        let before = out.len();
        let key = frame.track == Track::Video && frame.kind == FrameKind::Key;
        let appended = packetizer.append(frame, key, &mut out).expect("good frames");
        entries.extend(appended.entry.map(|entry| before + entry.at));
    }
    packetizer.flush(&mut out);
    (out, entries)
}

fn demux(bytes: &[u8]) -> Vec<Frame> {
    let mut demuxer = Demuxer::new();
    demuxer.receive(bytes).expect("nothing failed yet");
    demuxer.end();
    let frames =
        std::iter::from_fn(|| demuxer.next_frame().expect("ffmpeg's TS is read")).collect();
    assert_eq!((demuxer.lost(), demuxer.passed_over()), (0, 0));
    frames
}

fn media(frames: &[Frame], track: Track) -> Vec<&Frame> {
    let media = |frame: &&Frame| frame.track == track && frame.kind != FrameKind::Config;
    frames.iter().filter(media).collect()
}

/// Decodes all of a file; nothing may be said.
fn decodes(file: &File) {
    let mut command = ffmpeg();
    command.args(["-v", "warning", "-xerror", "-i", file.path(), "-f", "null", "-"]);
    let output = command.output().expect("ffmpeg runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// PTS and DTS of the packets of one kind, in ticks.
fn times(file: &File, kind: &str) -> Vec<(i64, i64)> {
    let args = format!("-select_streams {kind} -show_entries packet=pts,dts -of csv=p=0");
    probe(&args, file.path())
        .iter()
        // It says more commas and lines where a packet has side data.
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut numbers = line.split(',').map(|number| number.parse().expect("a number"));
            (numbers.next().expect("a PTS"), numbers.next().expect("a DTS"))
        })
        .collect()
}

fn written(time: Time) -> i64 {
    time.ticks_90k() + packetizer::START
}

fn same_times(file: &File, frames: &[Frame]) {
    let pictures: Vec<_> = media(frames, Track::Video)
        .iter()
        .map(|frame| (written(frame.pts), written(frame.dts)))
        .collect();
    assert_eq!(times(file, "v"), pictures);
    let (found, sent) = (times(file, "a"), media(frames, Track::Audio));
    assert_eq!(found.len(), sent.len());
    for ((pts, _), sent) in found.iter().zip(sent) {
        assert!((pts - written(sent.pts)).abs() <= 90, "{pts} {}", written(sent.pts));
    }
}

#[test]
fn the_test_card_is_decoded_from_every_entry() {
    let mut card = TestCard::new(Options::default()).expect("usual options");
    let mut frames = Vec::new();
    while card.due() < Time(6_000_000) {
        frames.push(card.next(0));
    }
    let (out, entries) = packets(&frames);
    assert_eq!(entries.len(), 3);
    let file = File::new("card.ts", &out);
    decodes(&file);
    same_times(&file, &frames);
    for at in entries {
        decodes(&File::new("entry.ts", &out[at..]));
    }
}

#[test]
fn each_codec_goes_from_ffmpeg_through_both_and_back() {
    for (video, audio, codecs) in [
        ("libx264 -bf 3 -g 30 -pix_fmt yuv420p", "aac -ar 48000 -ac 2", (Codec::Avc, Codec::Aac)),
        (
            "libx265 -x265-params log-level=none:keyint=30",
            "libopus -ac 2",
            (Codec::Hevc, Codec::Opus),
        ),
        ("libx264 -preset ultrafast -pix_fmt yuv420p", "libmp3lame", (Codec::Avc, Codec::Mp3)),
        ("libx264 -preset ultrafast -pix_fmt yuv420p", "ac3 -ar 44100", (Codec::Avc, Codec::Ac3)),
        ("libx264 -preset ultrafast -pix_fmt yuv420p", "eac3", (Codec::Avc, Codec::Eac3)),
    ] {
        let theirs = File::new("theirs.ts", &[]);
        let mut command = Command::new("ffmpeg");
        command.args(words(&format!(
            "-nostdin -v error -y -f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi \
             -i sine=frequency=440:sample_rate=48000 -t 3 -c:v {video} -c:a {audio} -f mpegts"
        )));
        assert!(command.arg(theirs.path()).status().expect("ffmpeg runs").success());
        let read = demux(&std::fs::read(&theirs.0).expect("it is written"));
        let (pictures, sounds) = (media(&read, Track::Video), media(&read, Track::Audio));
        assert_eq!((pictures.len(), (pictures[0].codec, sounds[0].codec)), (90, codecs));
        let theirs_at = times(&theirs, "v");
        for (frame, (pts, dts)) in pictures.iter().zip(&theirs_at) {
            assert_eq!((frame.pts.ticks_90k(), frame.dts.ticks_90k()), (*pts, *dts));
        }
        let (out, entries) = packets(&read);
        assert!(!entries.is_empty());
        let ours = File::new("ours.ts", &out);
        decodes(&ours);
        same_times(&ours, &read);
    }
}
