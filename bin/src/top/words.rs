//! Figures and events in words, and what is not well.

use serde_json::Value;

use crate::units::{shown_bytes, shown_rate};

/// A loop that is busier answers late; one that is much busier sends late.
const BUSY: f64 = 0.85;
const TOO_BUSY: f64 = 0.95;
/// A player that is further behind is told of.
const FAR_BEHIND_MS: u64 = 2000;

/// How loud something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    Plain,
    Good,
    Notice,
    Bad,
}

impl Level {
    /// What says it without a colour.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Plain => " ",
            Self::Good => "✔",
            Self::Notice => "!",
            Self::Bad => "✖",
        }
    }

    /// Of a stream, by its `health.state`.
    pub fn of(state: &str) -> Self {
        match state {
            "good" | "new" => Self::Good,
            "starving" | "silent" | "away" => Self::Bad,
            _ => Self::Notice,
        }
    }
}

/// A text of the answer, without anything that a terminal would take for a command.
pub fn text(value: &Value) -> String {
    clean(value.as_str().unwrap_or_default())
}

/// Without controls, and without characters that change the direction of what follows.
pub fn clean(text: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_plain(c) { c } else { '?' }).collect()
}

/// A whole number of the answer, 0 where there is none.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Seconds as people say them.
pub fn time(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

pub fn millis(ms: u64) -> String {
    if ms >= 1000 { format!("{:.1} s", ms as f64 / 1000.0) } else { format!("{ms} ms") }
}

pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Codecs and pictures of a stream.
pub fn media(stream: &Value) -> String {
    let mut words = Vec::new();
    let video = &stream["video"];
    if video.is_object() {
        words.push(text(&video["codec"]));
        if let (Some(width), Some(height)) = (video["width"].as_u64(), video["height"].as_u64()) {
            words.push(format!("{width}x{height}"));
        }
        words.push(format!("{:.0} fps", video["frame_rate"].as_f64().unwrap_or(0.0)));
        if let Some(gop) = video["gop_ms"].as_u64() {
            words.push(format!("GOP {:.1} s", gop as f64 / 1000.0));
        }
    }
    if stream["audio"].is_object() {
        words.push(text(&stream["audio"]["codec"]));
    }
    words.join(" ")
}

/// What happened: how loud, and in words.
pub fn event(event: &Value) -> (Level, String) {
    let stream = text(&event["stream"]);
    let protocol = text(&event["protocol"]);
    let who = if event["address"].is_string() { &event["address"] } else { &event["client"] };
    let who = text(who);
    let reason = text(&event["reason"]);
    let after = || time(number(&event["seconds"]));
    let skips = number(&event["skips"]);
    let times = || plural(skips, "time", "times");
    match event["event"].as_str().unwrap_or_default() {
        "publish" => (Level::Good, format!("{stream} is published by {protocol} from {who}")),
        "unpublish" => {
            (Level::Notice, format!("{stream}: its publisher ended after {}: {reason}", after()))
        }
        "stream_end" => (Level::Notice, format!("{stream} is over")),
        "play" => (Level::Plain, format!("{who} plays {stream} by {protocol}")),
        "stop" => {
            let is_bad = ["stalled", "too_slow", "no_resources", "bad_protocol"];
            let level = if is_bad.contains(&reason.as_str()) { Level::Bad } else { Level::Plain };
            let skipped = if skips > 0 { format!(", skipped {}", times()) } else { String::new() };
            (level, format!("{who} plays {stream} no more after {}: {reason}{skipped}", after()))
        }
        "skips" => {
            let bytes = shown_bytes(number(&event["skipped_bytes"]) as f64);
            (Level::Notice, format!("{stream}: players skipped {}, {bytes}: {reason}", times()))
        }
        "reload" => {
            let what = text(&event["what"]);
            match reason.as_str() {
                "done" => (Level::Good, format!("{what} read again")),
                "nothing" => (Level::Notice, format!("no {what} to read again: there is none")),
                _ => {
                    let why = text(&event["detail"]);
                    (Level::Bad, format!("{what} not read again, the one before holds: {why}"))
                }
            }
        }
        "lost" => {
            let count = number(&event["count"]);
            (Level::Notice, format!("not told or not kept: {}", plural(count, "event", "events")))
        }
        other => (Level::Plain, clean(other)),
    }
}

/// What is not well, the worst first.
pub fn troubles(summary: &Value, streams: &[Value], players: &[&Value]) -> Vec<(Level, String)> {
    let mut found = Vec::new();
    if summary["draining"] == true {
        found.push((Level::Notice, "the server drains: nobody new comes in".to_owned()));
    }
    for (place, lo) in summary["loops"].as_array().into_iter().flatten().enumerate() {
        let busy = lo["busy"].as_f64().unwrap_or(0.0);
        if busy >= BUSY {
            let level = if busy >= TOO_BUSY { Level::Bad } else { Level::Notice };
            let text = format!("loop {place} is {:.0} % busy: players are sent late", busy * 100.0);
            found.push((level, text));
        }
    }
    for stream in streams {
        let state = text(&stream["health"]["state"]);
        let level = Level::of(&state);
        if level > Level::Good {
            let why = text(&stream["health"]["why"]);
            found.push((level, format!("{} is {state}: {why}", text(&stream["id"]))));
        }
    }
    let late = players.iter().filter(|player| number(&player["lag_ms"]) >= FAR_BEHIND_MS).count();
    if late > 0 {
        let many = plural(late as u64, "player is", "players are");
        let text = format!("{many} more than {} behind", millis(FAR_BEHIND_MS));
        found.push((Level::Notice, text));
    }
    found.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    found
}

/// How it goes, in a line.
pub fn verdict(summary: &Value, found: &[(Level, String)]) -> (Level, String) {
    let streams = plural(number(&summary["streams_live"]), "stream", "streams");
    let players = plural(number(&summary["players"]), "player", "players");
    let figures = format!("{streams} live, {players}");
    match found.first() {
        None => (Level::Good, format!("all is well: {figures}")),
        Some((level, _)) => {
            let count = plural(found.len() as u64, "thing is", "things are");
            (*level, format!("{count} not well: {figures}"))
        }
    }
}

/// Bits a second.
pub fn rate(bits: f64) -> String {
    shown_rate(bits.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_of_the_answer_commands_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\r\n"), "a?[2Jb?c??");
        let told = event(&json!({ "event": "play", "stream": "a\x07", "address": "\x1b]0;x" }));
        assert!(!told.1.chars().any(char::is_control), "{told:?}");
    }

    #[test]
    fn what_was_read_again_is_said() {
        let told = |reason: &str| {
            event(&json!({
                "event": "reload", "what": "certificate", "reason": reason, "detail": "no such file",
            }))
        };
        assert_eq!(told("done"), (Level::Good, "certificate read again".to_owned()));
        assert!(told("nothing").1.contains("there is none"));
        let (level, words) = told("failed");
        assert!(level == Level::Bad && words.ends_with(": no such file"), "{words}");
    }

    #[test]
    fn the_worst_comes_first() {
        let summary = json!({ "loops": [{ "busy": 0.2 }, { "busy": 0.9 }], "draining": false });
        let streams = [
            json!({ "id": "a", "health": { "state": "away", "why": "gone" } }),
            json!({ "id": "b", "health": { "state": "good", "why": "" } }),
        ];
        let player = json!({ "lag_ms": 2500 });
        let found = troubles(&summary, &streams, &[&player, &json!({ "lag_ms": 10 })]);
        let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts[0], "a is away: gone");
        assert_eq!(texts[1], "loop 1 is 90 % busy: players are sent late");
        assert_eq!(texts[2], "1 player is more than 2.0 s behind");
        let (level, text) = verdict(&summary, &found);
        assert_eq!((level, &text[..19]), (Level::Bad, "3 things are not we"));
        assert_eq!(verdict(&summary, &[]).0, Level::Good);
    }

    #[test]
    fn times_as_people_say_them() {
        for (seconds, text) in
            [(5, "5 s"), (65, "1 min 5 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(time(seconds), text);
        }
    }
}
