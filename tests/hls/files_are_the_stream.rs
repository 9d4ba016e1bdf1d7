//! What is fetched of a rendition is what was published: every frame once, at its time.

use std::path::PathBuf;
use std::process::Command;

use media::playlist::Rendition::{Audio, Ts, Video};
use media::playlist::{File, Rendition};
use media::{Frame, Track};

use crate::live::{Card, Weir, is_picture};
use crate::support::{Client, Followed, files, follow, listed, segments, stream};

const CONFIG: &str = "[publish]\ngrace = \"1s\"\n[hls]\nsegment = \"1s\"\nwindow = \"10s\"\n";

struct Temp(PathBuf);

impl Temp {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("weir-hls-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a program says that may not complain.
fn said(program: &str, args: &[&str], file: &Temp) -> String {
    let mut command = Command::new(program);
    let args = args.iter().map(|arg| if *arg == "FILE" { file.0.to_str().unwrap() } else { arg });
    let output = command.args(args).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// The decoding times of a track's packets, in microseconds.
fn times(file: &Temp, track: &str) -> Vec<i64> {
    let args = ["-v", "error", "-select_streams", track, "-show_entries", "packet=dts_time", "-of"];
    let text = said("ffprobe", &[&args[..], &["csv=p=0", "FILE"]].concat(), file);
    let seconds = text.lines().filter_map(|line| line.trim_matches(',').parse::<f64>().ok());
    seconds.map(|seconds| (seconds * 1e6).round() as i64).collect()
}

fn expected(frames: &[Frame], is_wanted: impl Fn(&Frame) -> bool) -> Vec<i64> {
    frames.iter().filter(|frame| is_wanted(frame)).map(|frame| frame.dts.0).collect()
}

fn assert_near(found: &[i64], expected: &[i64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let begin = found[0] - expected[0];
    for (found, expected) in found.iter().zip(expected) {
        // RTMP has milliseconds.
        assert!((found - begin - expected).abs() <= 2_000, "{what}: {found} is not {expected}");
    }
}

#[test]
fn all_of_it_and_nothing_else() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let name = "live/whole";
    let following = [Video, Audio, Ts].map(|of| follow(&weir, name, of));
    let mut publisher = weir.publish(name);
    let frames = stream(&mut publisher, &mut Card::new(320, 240), 150);
    drop(publisher);
    let [video, audio, ts] = following.map(|of| of.join().unwrap());
    let is_sound =
        |frame: &Frame| frame.track == Track::Audio && frame.kind != media::FrameKind::Config;
    let pictures = expected(&frames, is_picture);
    let sound = expected(&frames, is_sound);
    let whole = |followed: &Followed, name: &str| Temp::new(name, &followed.bytes());
    let (video_file, audio_file) = (whole(&video, "video.mp4"), whole(&audio, "audio.mp4"));
    let ts_file = whole(&ts, "all.ts");
    assert_near(&times(&video_file, "v"), &pictures, "pictures in MP4");
    assert_near(&times(&audio_file, "a"), &sound, "sound in MP4");
    assert_near(&times(&ts_file, "v"), &pictures, "pictures in TS");
    assert_near(&times(&ts_file, "a"), &sound, "sound in TS");
    for file in [&video_file, &audio_file, &ts_file] {
        said("ffmpeg", &["-v", "error", "-xerror", "-i", "FILE", "-f", "null", "-"], file);
    }
    durations_are_true(&video, "v");
    durations_are_true(&audio, "a");
    for (name, bytes) in &ts.files {
        let id = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let mut packets = bytes.chunks(188);
        assert_eq!(packets.next().map(id), Some(0), "{name} begins with the PAT");
        packets.next();
        let picture = packets.next().unwrap();
        assert_eq!(picture[1] & 0x40, 0x40, "{name}: then a frame begins");
        assert_eq!(picture[5] & 0x40, 0x40, "{name}: at random access");
    }
}

/// `EXTINF` is what the segment lasts, to the frame.
fn durations_are_true(followed: &Followed, track: &str) {
    let text = followed.texts.last().unwrap();
    let is_init = |name: &str| matches!(File::parse(name), Some(File::Init { .. }));
    let init = &followed.files.iter().find(|(name, _)| is_init(name)).unwrap().1;
    let begin = |name: &str| {
        let bytes = &followed.files.iter().find(|(known, _)| known == name).unwrap().1;
        times(&Temp::new(name, &[&init[..], bytes].concat()), track)[0]
    };
    let said = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    let said: Vec<f64> = said.map(|line| line.trim_end_matches(',').parse().unwrap()).collect();
    let begins: Vec<i64> = segments(text).iter().map(|name| begin(name)).collect();
    for (pair, said) in begins.windows(2).zip(said) {
        let lasts = (pair[1] - pair[0]) as f64 / 1e6;
        assert!((lasts - said).abs() < 0.002, "it lasts {lasts} and is said to last {said}");
    }
}

#[test]
fn parts_are_the_bytes_of_their_segment() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let _set = listed(&weir, "live/parts", 120);
    for rendition in [Video, Audio] {
        let mut client = Client::new(weir.http);
        let text = client.list(&format!("/live/parts/{}.m3u8", rendition.name()));
        let mut parts = Vec::new();
        let mut compared = 0;
        for name in files(&text) {
            match File::parse(&name) {
                Some(File::Part { .. }) => {
                    parts.extend(client.body(&format!("/live/parts/{name}")))
                }
                Some(File::Segment { .. }) if !parts.is_empty() => {
                    let whole = client.body(&format!("/live/parts/{name}"));
                    assert!(whole == parts, "{name}");
                    compared += 1;
                    parts.clear();
                }
                _ => {}
            }
        }
        assert!(compared >= 2, "{text}");
    }
}

#[test]
fn an_encoder_with_b_frames_is_listed_and_decoded() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let name = "live/b";
    let following = [Video, Audio, Ts].map(|of| follow(&weir, name, of));
    let source = "-nostdin -v error -re -f lavfi -i testsrc2=size=160x120:rate=25 -re -f lavfi -i \
                  sine=sample_rate=44100 -t 6 -c:v libx264 -bf 3 -g 25 -pix_fmt yuv420p -c:a aac -f flv";
    let mut encoder = Command::new("ffmpeg");
    encoder.args(source.split_whitespace()).arg(format!("rtmp://{}/{name}", weir.rtmp));
    assert!(encoder.status().unwrap().success());
    let renditions: [Rendition; 3] = [Video, Audio, Ts];
    for (rendition, followed) in renditions.iter().zip(following) {
        let followed = followed.join().unwrap().clean();
        let file = Temp::new(&format!("b-{}", rendition.name()), &followed.bytes());
        said("ffmpeg", &["-v", "error", "-xerror", "-i", "FILE", "-f", "null", "-"], &file);
        if *rendition != Audio {
            assert_eq!(times(&file, "v").len(), 150);
        }
    }
}
