//! Fragmented MP4 as `media` makes it: ffprobe finds the frames and times that were packed, and ffmpeg
//! decodes them without a word.

use std::path::PathBuf;
use std::process::Command;

use media::container::mp4::{Demuxer, Description, Packetizer, init_segment};
use media::testcard::{Options, TestCard};
use media::{Frame, FrameKind, Time, Track};
use weir_tests::Program;

use crate::support::{ffmpeg, figure, probe, well_ended, words};

/// A file that is gone when its test ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let name = format!("weir-{}-{name}.mp4", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn is_sample(frame: &Frame) -> bool {
    !matches!(frame.kind, FrameKind::Config | FrameKind::End)
}

fn packetizer(frames: &[Frame], track: Track) -> Option<Packetizer> {
    let find = |kind| frames.iter().find(|frame| frame.track == track && frame.kind == kind);
    let first = find(FrameKind::Key)?;
    let config = find(FrameKind::Config).map(|config| &config.payload[..]);
    let id = if track == Track::Video { 1 } else { 2 };
    Some(Packetizer::new(Description::new(id, first.codec, config, Some(&first.payload)).unwrap()))
}

/// The tracks in chunks of 200 ms, in the order of their ends.
fn pack(frames: &[Frame], tracks: &[Track]) -> Vec<u8> {
    let mut packetizers: Vec<Packetizer> =
        tracks.iter().map(|track| packetizer(frames, *track).unwrap()).collect();
    let descriptions: Vec<&Description> = packetizers.iter().map(Packetizer::description).collect();
    let mut out = Vec::new();
    init_segment(&descriptions, &mut out);
    for frame in frames.iter().filter(|frame| is_sample(frame)) {
        let track = packetizers.iter_mut().find(|p| p.description().track() == frame.track);
        let Some(packetizer) = track else { continue };
        if packetizer.duration() >= 200_000 {
            packetizer.finish(Some(frame.dts), &mut out);
        }
        packetizer.push(frame).unwrap();
    }
    for packetizer in &mut packetizers {
        packetizer.finish(None, &mut out);
    }
    out
}

/// What ffprobe says of a file's packets of one kind, and what was packed; then ffmpeg decodes them.
fn is_decoded(name: &str, frames: &[Frame], tracks: &[Track]) {
    let file = File::new(name, &pack(frames, tracks));
    let mut decoded = ffmpeg();
    decoded.args(["-xerror", "-err_detect", "explode", "-i", file.path(), "-map", "0"]);
    decoded.args(["-progress", "pipe:1", "-fps_mode", "passthrough", "-f", "null", "-"]);
    let said = well_ended(Program::spawn(decoded));
    for track in tracks {
        let scale = packetizer(frames, *track).unwrap().description().timescale();
        let letter = if *track == Track::Video { "v" } else { "a" };
        let entries = format!("-select_streams {letter} -show_entries packet=pts,dts -of csv=p=0");
        let found: Vec<(i64, i64)> = probe(&entries, file.path())
            .iter()
            .map(|line| {
                let mut numbers = line.split(',').map(|number| number.parse().unwrap());
                (numbers.next().unwrap(), numbers.next().unwrap())
            })
            .collect();
        let packed: Vec<&Frame> =
            frames.iter().filter(|frame| frame.track == *track && is_sample(frame)).collect();
        assert_eq!(found.len(), packed.len(), "{name}");
        if *track == Track::Video {
            assert_eq!(figure(&said, "frame") as usize, packed.len(), "{name}");
        }
        let ticks = |time: Time| (i128::from(time.0) * i128::from(scale) + 500_000) / 1_000_000;
        for ((pts, dts), frame) in found.iter().zip(packed) {
            let off = (ticks(frame.pts) - i128::from(*pts), ticks(frame.dts) - i128::from(*dts));
            // Times of sound are made to meet; these are exact but for their rounding.
            assert!(off.0.abs() <= 1 && off.1.abs() <= 1, "{name}: {off:?} at {dts}");
        }
    }
}

#[test]
fn the_test_card() {
    let mut card = TestCard::new(Options::default()).unwrap();
    // Later than 33 bits of 90 kHz, and than 32 bits of milliseconds.
    let later = 60 * 86_400 * 1_000_000_i64;
    let mut frames: Vec<Frame> =
        std::iter::from_fn(|| (card.due() < Time(5_000_000)).then(|| card.next(0))).collect();
    is_decoded("card", &frames, &[Track::Video, Track::Audio]);
    is_decoded("card-video", &frames, &[Track::Video]);
    is_decoded("card-audio", &frames, &[Track::Audio]);
    for frame in &mut frames {
        (frame.dts, frame.pts) = (frame.dts.plus(later), frame.pts.plus(later));
    }
    is_decoded("card-later", &frames, &[Track::Video, Track::Audio]);
}

/// ffmpeg encodes, `media` reads its MP4 and makes another one.
fn of_encoder(name: &str, args: &str) {
    let made = File::new(&format!("{name}-made"), &[]);
    let mut command: Command = ffmpeg();
    command.args(words(args)).args(words("-strict -2 -movflags +delay_moov+frag_keyframe"));
    command.args(words("-frag_duration 300000 -f mp4 -y")).arg(made.path());
    let (status, said) = Program::spawn(command).end();
    assert!(status.success(), "{name}: {said:#?}");
    let mut demuxer = Demuxer::new();
    demuxer.receive(&std::fs::read(&made.0).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(mut frame) = demuxer.next_frame().unwrap() {
        // Its edit lists begin before zero.
        (frame.dts, frame.pts) = (frame.dts.plus(1_000_000), frame.pts.plus(1_000_000));
        frames.push(frame);
    }
    let tracks: Vec<Track> = [Track::Video, Track::Audio]
        .into_iter()
        .filter(|track| packetizer(&frames, *track).is_some())
        .collect();
    assert!(!tracks.is_empty(), "{name}");
    is_decoded(name, &frames, &tracks);
}

const PICTURES: &str = "-f lavfi -i testsrc2=size=160x120:rate=25 -t 1 -pix_fmt yuv420p";
const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000 -t 1 -ac 2";

#[test]
fn pictures_of_every_codec() {
    of_encoder("x264", &format!("{PICTURES} -c:v libx264 -preset veryfast -bf 3 -g 12"));
    of_encoder(
        "x265",
        &format!("{PICTURES} -c:v libx265 -x265-params log-level=none -preset ultrafast -bf 2"),
    );
    of_encoder("av1", &format!("{PICTURES} -c:v libaom-av1 -cpu-used 8 -crf 50"));
    of_encoder("vp9", &format!("{PICTURES} -c:v libvpx-vp9 -deadline realtime -cpu-used 8"));
}

#[test]
fn sound_of_every_codec() {
    for codec in ["aac", "libopus", "flac", "ac3", "eac3", "libmp3lame"] {
        of_encoder(codec, &format!("{SOUND} -c:a {codec}"));
    }
    of_encoder("mp3-22050", "-f lavfi -i sine -t 1 -ar 22050 -c:a libmp3lame");
    of_encoder("flac-96000", "-f lavfi -i sine -t 1 -ar 96000 -c:a flac");
    of_encoder("opus-surround", "-f lavfi -i anoisesrc=d=1 -ac 6 -c:a libopus -b:a 256k");
}
