//! ffmpeg decodes what lasts as long as the stream, of each codec, without a word, and finds in it the frames and times that
//! were published.

use std::path::PathBuf;

use media::{Codec, Frame, FrameKind, Track};
use weir_tests::{Program, Server};

use crate::by_hand::{Publisher, made};
use crate::support::{ffmpeg, well_ended, words};

/// Not `.mpd`: ffmpeg counts the entries of a growing `SegmentTimeline` from 0 and not from `startNumber`, takes
/// what comes next for too old, and begins again at the first segment whenever it has read one.
///
/// Nor `.m3u8?format=ts`: of sound without a duration in its packets ffmpeg's reader of HLS says the first time
/// again, of what it writes itself as well. `ffmpeg … -c:a libopus -f hls o.m3u8` read back has Opus at 126,000
/// three times, where its segments in one file have 126,000, 127,800 and 129,600; AAC alone has it twice.
const OUTPUTS: [&str; 3] = [".ts", ".mp4", ".m3u8"];
/// Times of RTMP are whole milliseconds, and sound is made to meet.
const ROUNDED_MICROS: i64 = 1500;

fn is_in_ts(output: &str, codec: Codec) -> bool {
    !output.contains("ts") || !matches!(codec, Codec::Av1 | Codec::Vp9 | Codec::Flac)
}

/// Frames of a track as players count them: their times in microseconds, decoding and showing.
fn times(frames: &[Frame], track: Track) -> Vec<(i64, i64)> {
    // Players begin with a picture.
    let picture = |f: &Frame| f.track == Track::Video && f.kind == FrameKind::Key;
    let first = frames.iter().position(picture).unwrap_or(0);
    let played = frames.iter().skip(first);
    let of_track = played.filter(|f| f.track == track && f.kind != FrameKind::Config);
    of_track.map(|frame| (frame.dts.0, frame.pts.0)).collect()
}

fn codec(frames: &[Frame], track: Track) -> Option<Codec> {
    frames.iter().find(|frame| frame.track == track).map(|frame| frame.codec)
}

/// Decodes all of it, and notes each packet in a file.
fn decode(url: &str, notes: &PathBuf) -> Program {
    let mut command = ffmpeg();
    command.args(words("-copyts -xerror -err_detect explode"));
    command.args(["-i", url]).args(words("-map 0 -c copy -avoid_negative_ts disabled"));
    command.args(words("-f framecrc -y")).arg(notes).args(words("-map 0 -f null -"));
    Program::spawn(command)
}

/// The packets of each stream that ffmpeg noted.
fn noted(notes: &PathBuf) -> Vec<(Track, Vec<(i64, i64)>)> {
    let text = std::fs::read_to_string(notes).unwrap();
    let _ = std::fs::remove_file(notes);
    let (mut streams, mut scales) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(scale) = line.strip_prefix("#tb ") {
            let (num, den) = scale.split_once(": ").unwrap().1.split_once('/').unwrap();
            scales.push((num.parse::<i64>().unwrap(), den.parse::<i64>().unwrap()));
        } else if let Some(kind) = line.strip_prefix("#media_type ") {
            let track = if kind.ends_with("video") { Track::Video } else { Track::Audio };
            streams.push((track, Vec::new()));
        } else if !line.starts_with('#') {
            let mut numbers = line.split(',').map(|word| word.trim().parse::<i64>().unwrap_or(0));
            let mut next = || numbers.next().unwrap();
            let (stream, dts, pts) = (next() as usize, next(), next());
            let (num, den) = scales[stream];
            let micros = |ticks: i64| ticks * num * 1_000_000 / den;
            streams[stream].1.push((micros(dts), micros(pts)));
        }
    }
    streams
}

/// What was noted of an output is what was published.
fn is_same(what: &str, output: &str, frames: &[Frame], notes: &PathBuf) {
    let found = noted(notes);
    let tracks: Vec<Track> = [Track::Video, Track::Audio]
        .into_iter()
        .filter(|track| codec(frames, *track).is_some_and(|codec| is_in_ts(output, codec)))
        .collect();
    assert_eq!(found.len(), tracks.len(), "{what}");
    let mut shift = None;
    for track in tracks {
        let expected = times(frames, track);
        let (_, found) = found.iter().find(|(kind, _)| *kind == track).unwrap();
        let ends = |times: &[(i64, i64)]| (times.first().copied(), times.last().copied());
        let (had, wanted) = (ends(found), ends(&expected));
        assert_eq!(found.len(), expected.len(), "{what} {track:?}: {had:?}, not {wanted:?}");
        for (found, expected) in found.iter().zip(&expected) {
            let shift = *shift.get_or_insert(found.0 - expected.0);
            let off = (found.0 - expected.0 - shift, found.1 - expected.1 - shift);
            let fits = |off: i64| off.abs() <= ROUNDED_MICROS;
            assert!(fits(off.0) && fits(off.1), "{what} {track:?} {off:?} at {found:?}");
        }
    }
}

fn go_through(name: &str, args: &str) {
    let frames = made(name, args);
    let server = Server::start("[publish]\ngrace = \"1s\"\n", &[]);
    let has =
        |output: &&str| codec(&frames, Track::Video).is_none_or(|codec| is_in_ts(output, codec));
    let base = server.http_url(name);
    let base = base.trim_end_matches(".flv");
    let notes = |place: usize| {
        std::env::temp_dir().join(format!("weir-{}-{name}-{place}.crc", std::process::id()))
    };
    let mut players = Vec::new();
    for (place, output) in OUTPUTS.iter().enumerate().filter(|(_, output)| has(output)) {
        players.push((place, output, decode(&format!("{base}{output}"), &notes(place))));
    }
    // Whoever is there before the first frame gets it.
    server.wait_for_connections(players.len());
    let mut publisher = Publisher::connect(&server, name);
    if let Err(error) = publisher.send_in_time(&frames) {
        panic!("{name}: {error}: {}", server.program.wait_for("publish ended"));
    }
    publisher.finish();
    for (place, output, player) in players {
        println!("{name}{output}");
        well_ended(player);
        is_same(&format!("{name}{output}"), output, &frames, &notes(place));
    }
}

const PICTURES: &str = "-f lavfi -i testsrc2=size=160x120:rate=25";
const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000";

fn both(name: &str, video: &str, audio: &str) {
    let ends = "-t 3 -pix_fmt yuv420p -g 25";
    go_through(name, &format!("{PICTURES} {SOUND} {ends} -ac 2 -c:v {video} -c:a {audio}"));
}

#[test]
fn h264_with_and_without_b_frames_and_aac() {
    both("avc", "libx264 -preset ultrafast", "aac");
    both("avc-b", "libx264 -preset veryfast -bf 3", "aac");
}

#[test]
fn pictures_alone() {
    go_through("alone", &format!("{PICTURES} -t 3 -pix_fmt yuv420p -g 25 -c:v libx264"));
}

#[test]
fn sound_alone() {
    go_through("sound", &format!("{SOUND} -t 3 -ac 2 -c:a aac"));
}

#[test]
fn h264_and_other_sound() {
    both("opus", "libx264 -preset ultrafast", "libopus");
    both("mp3", "libx264 -preset ultrafast", "libmp3lame");
    both("ac3", "libx264 -preset ultrafast", "ac3");
    both("eac3", "libx264 -preset ultrafast", "eac3");
    both("flac", "libx264 -preset ultrafast", "flac");
}

#[test]
fn hevc_av1_and_vp9() {
    both("hevc", "libx265 -x265-params log-level=none -preset ultrafast -bf 2", "aac");
    both("av1", "libaom-av1 -cpu-used 8 -crf 50", "libopus");
    both("vp9", "libvpx-vp9 -deadline realtime -cpu-used 8", "libopus");
}
