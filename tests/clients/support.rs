//! ffmpeg, ffprobe and rtmpdump as encoders and players.

use std::process::Command;

use weir_tests::{Program, Server};

/// A stream with one track is looked at for five seconds otherwise, in case that another comes.
const LOOK: [&str; 2] = ["-analyzeduration", "1000000"];

/// Pictures of this size, "160x120".
pub fn pictures(size: &str) -> Vec<String> {
    let source = format!("testsrc2=size={size}:rate=30");
    words(&format!("-f lavfi -i {source} -c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p"))
}

/// A tone.
pub fn sound() -> Vec<String> {
    words("-f lavfi -i sine=frequency=440:sample_rate=44100 -c:a aac -b:a 64k")
}

/// The words of a command line.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Inputs come before what is done with them.
fn inputs_first(parts: Vec<String>) -> Vec<String> {
    let mut inputs = Vec::new();
    let mut rest = Vec::new();
    let mut parts = parts.into_iter();
    while let Some(word) = parts.next() {
        if word == "-f" {
            inputs.extend(words("-re -f"));
            inputs.extend(parts.by_ref().take(3));
        } else {
            rest.push(word);
        }
    }
    inputs.extend(rest);
    inputs
}

/// An encoder that publishes in real time until it is dropped, or a minute is over.
pub fn publish(server: &Server, name: &str, parts: &[Vec<String>]) -> Program {
    let mut command = ffmpeg();
    command.args(inputs_first([words("-t 60"), parts.concat()].concat()));
    command.args(["-f", "flv", &server.rtmp_url(name)]);
    Program::spawn(command)
}

/// ffmpeg that says nothing but errors.
pub fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]);
    command
}

/// Waits until a program ends well, with nothing on stderr that is no progress; what it said.
pub fn well_ended(program: Program) -> Vec<String> {
    let (status, said) = program.end();
    assert!(status.success(), "{status}: {said:#?}");
    let complaint = said.iter().find(|line| !line.contains('='));
    assert_eq!(complaint, None, "{said:#?}");
    said
}

/// A player that decodes, and fails at the first error; it tells of its progress.
pub fn player(url: &str, seconds: Option<&str>) -> Program {
    let mut command = ffmpeg();
    command.args(LOOK).args(["-xerror", "-stats_period", "0.1", "-progress", "pipe:1", "-i", url]);
    if let Some(seconds) = seconds {
        command.args(["-t", seconds]);
    }
    command.args(["-f", "null", "-"]);
    Program::spawn(command)
}

/// The last of its figures of this name.
pub fn figure(said: &[String], name: &str) -> u64 {
    let value = |line: &String| line.strip_prefix(name)?.strip_prefix('=')?.trim().parse().ok();
    said.iter().rev().find_map(value).unwrap_or_else(|| panic!("no {name} in {said:#?}"))
}

/// What ffprobe finds, as lines of NAME=VALUE or of values.
pub fn probe(args: &str, what: &str) -> Vec<String> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error"]).args(LOOK).args(words(args)).arg(what);
    let (status, said) = Program::spawn(command).end();
    assert!(status.success(), "{args} {what}: {said:#?}");
    said
}

/// Codecs and picture sizes of a stream's sound and pictures, sorted: "aac", "h264 160x120". ffprobe
/// takes what else RTMP says before them for a track of unknown data.
pub fn tracks(url: &str) -> Vec<String> {
    let entries = "-show_entries stream=codec_type,codec_name,width,height -of csv=p=0";
    let said = probe(entries, url);
    let mut tracks: Vec<String> = said
        .iter()
        .filter(|line| !line.starts_with("unknown,data"))
        .map(|line| match *line.split(',').collect::<Vec<_>>() {
            [codec, _, width, height] => format!("{codec} {width}x{height}"),
            [codec, ..] => codec.to_owned(),
            [] => String::new(),
        })
        .collect();
    tracks.sort();
    tracks
}
