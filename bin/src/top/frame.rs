//! What is shown, as text of so many lines and columns.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::words::{self, Level, media, millis, number, plural, rate, text, time};
use crate::units::shown_bytes;

/// Cells of a bar of load.
const BAR: usize = 20;
/// Columns that a loop takes.
const LOOP: usize = 52;
/// Lines of loops, and of what is not well.
const LOOP_LINES: usize = 4;
const TROUBLES: usize = 3;
/// Lines that say how to begin.
const HOW_TO_BEGIN: usize = 3;
/// Where nobody says how much is seen: a pipe, a file.
const COLUMNS: usize = 160;
const SECONDS: u64 = 86_400;

/// What is known of the server.
#[derive(Default)]
pub struct Known {
    pub summary: Value,
    pub streams: Value,
    pub clients: Value,
    /// The newest last.
    pub events: VecDeque<Value>,
    /// Why the last question was not answered.
    pub trouble: Option<String>,
    /// The server's name or address, as it stands in a URL.
    pub host: String,
    /// When what was sent and received was asked, and how much it was.
    pub flow: VecDeque<(Instant, u64, u64)>,
}

impl Known {
    /// Notes what was moved so far.
    pub fn note_flow(&mut self, now: Instant) {
        let moved = (number(&self.summary["bytes_in"]), number(&self.summary["bytes_out"]));
        if self.flow.back().is_some_and(|(_, _, sent)| *sent > moved.1) {
            // Another run of the server.
            self.flow.clear();
        }
        self.flow.push_back((now, moved.0, moved.1));
        // Loops tell what they sent once a second, at different times: two seconds even that out.
        let is_old = |at: Instant| now.saturating_duration_since(at) >= Duration::from_secs(2);
        while self.flow.get(1).is_some_and(|(at, ..)| is_old(*at)) {
            self.flow.pop_front();
        }
    }

    /// Bits a second in and out.
    fn rates(&self) -> (f64, f64) {
        let ends = self.flow.front().zip(self.flow.back());
        let span = ends.map_or(0.0, |((from, ..), (until, ..))| {
            until.saturating_duration_since(*from).as_secs_f64()
        });
        match ends {
            Some(((_, came, sent), (_, all_in, all_out))) if span > 0.1 => {
                let bits =
                    |all: &u64, before: &u64| all.saturating_sub(*before) as f64 * 8.0 / span;
                (bits(all_in, came), bits(all_out, sent))
            }
            _ => {
                let figure = |name: &str| self.summary[name].as_f64().unwrap_or(0.0) * 1e9;
                (figure("gbit_in"), figure("gbit_out"))
            }
        }
    }

    fn streams(&self) -> &[Value] {
        self.streams["streams"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn players(&self) -> Vec<&Value> {
        self.clients["clients"].as_array().into_iter().flatten().collect()
    }
}

/// Where the text goes.
#[derive(Clone, Copy)]
pub struct Paper {
    /// Lines and columns; none where they do not matter.
    pub size: Option<(usize, usize)>,
    pub has_colours: bool,
}

impl Paper {
    fn columns(self) -> usize {
        self.size.map_or(COLUMNS, |(_, columns)| columns.max(20))
    }

    fn painted(self, level: Level, line: &str) -> String {
        let colour = match level {
            Level::Plain => return line.to_owned(),
            Level::Good => "32",
            Level::Notice => "33",
            Level::Bad => "31;1",
        };
        self.with(colour, line)
    }

    fn bold(self, line: &str) -> String {
        self.with("1", line)
    }

    fn with(self, code: &str, line: &str) -> String {
        if self.has_colours { format!("\x1b[{code}m{line}\x1b[0m") } else { line.to_owned() }
    }
}

/// Cuts or fills up to a width in columns, of which some letters take two and some none.
fn cell(text: &str, width: usize) -> String {
    let mut cut = String::with_capacity(text.len().max(width));
    let mut left = width;
    if text.width() <= width {
        cut.push_str(text);
        left -= text.width();
    } else {
        left = left.saturating_sub(1);
        for letter in text.chars() {
            let Some(less) = left.checked_sub(letter.width().unwrap_or(0)) else { break };
            left = less;
            cut.push(letter);
        }
        cut.push('…');
    }
    cut.extend(std::iter::repeat_n(' ', left));
    cut
}

fn right(text: &str, width: usize) -> String {
    let cut = cell(text, width);
    let text = cut.trim_end();
    let mut right = " ".repeat(width.saturating_sub(text.width()));
    right.push_str(text);
    right
}

/// Draws it all.
pub fn draw(known: &Known, paper: Paper) -> Vec<String> {
    let columns = paper.columns();
    let mut lines = header(known, paper);
    let left = paper.size.map(|(rows, _)| rows.saturating_sub(lines.len() + 7));
    // Streams first, then players; events have the rest.
    let streams = known.streams();
    let players = known.players();
    let wanted = if streams.is_empty() { HOW_TO_BEGIN } else { streams.len() };
    let (for_streams, for_players, for_events) = match left {
        None => (wanted, players.len(), 20),
        Some(left) => {
            let most_streams = wanted.min((left * 2 / 5).max(1));
            let most_players =
                players.len().max(1).min(((left - most_streams.min(left)) / 2).max(1));
            (most_streams, most_players, left.saturating_sub(most_streams + most_players))
        }
    };
    lines.push(String::new());
    lines.extend(stream_lines(known, paper, for_streams));
    lines.push(String::new());
    lines.extend(player_lines(&players, paper, for_players));
    lines.push(String::new());
    lines.push(paper.bold("EVENTS"));
    let newest = known.events.iter().rev().take(for_events);
    lines.extend(newest.map(|event| {
        let (level, words) = words::event(event);
        let at = number(&event["time_ms"]) / 1000 % SECONDS;
        let (h, m, s) = (at / 3600, at / 60 % 60, at % 60);
        let line = cell(&format!("{h:02}:{m:02}:{s:02} {words}"), columns);
        paper.painted(level, line.trim_end())
    }));
    if let Some((rows, _)) = paper.size {
        lines.truncate(rows.saturating_sub(1));
        while lines.len() + 1 < rows {
            lines.push(String::new());
        }
        lines.push(cell("q leaves; times are UTC", columns).trim_end().to_owned());
    }
    lines
}

fn header(known: &Known, paper: Paper) -> Vec<String> {
    let columns = paper.columns();
    let summary = &known.summary;
    let up = summary["uptime_seconds"].as_f64().unwrap_or(0.0);
    let mut lines = vec![paper.bold(&cell(
        &format!(
            "{}  Weir {}  up {}",
            text(&summary["server"]),
            text(&summary["version"]),
            time(up as u64)
        ),
        columns,
    ))];
    let found = words::troubles(summary, known.streams(), &known.players());
    let (level, verdict) = match &known.trouble {
        Some(why) => (Level::Bad, format!("not answered: {}; trying again", words::clean(why))),
        None => words::verdict(summary, &found),
    };
    let mut say = |level: Level, text: &str| {
        let line = cell(&format!("{} {text}", level.sign()), columns);
        lines.push(paper.painted(level, line.trim_end()));
    };
    say(level, &verdict);
    found.iter().take(TROUBLES).for_each(|(level, text)| say(*level, text));
    let (came, went) = known.rates();
    let memory = &summary["memory"];
    let bytes = |name: &str| shown_bytes(number(&memory[name]) as f64);
    lines.push(cell(
        &format!(
            "out {}  in {}  {}  memory {} and {} of logs",
            rate(went),
            rate(came),
            plural(number(&summary["connections"]), "connection", "connections"),
            bytes("resident_bytes"),
            bytes("log_bytes")
        ),
        columns,
    ));
    let loops: Vec<String> = summary["loops"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(place, lo)| {
            let busy = lo["busy"].as_f64().unwrap_or(0.0).clamp(0.0, 1.0);
            let full = (busy * BAR as f64).round() as usize;
            let bar = format!("{}{}", "|".repeat(full), " ".repeat(BAR - full.min(BAR)));
            let players = plural(number(&lo["players"]), "player", "players");
            let text = format!("loop {place:<3}[{bar}] {:3.0} % {players}", busy * 100.0);
            cell(&text, LOOP)
        })
        .collect();
    let side = (columns / LOOP).max(1);
    let rows: Vec<String> = loops.chunks(side).map(|row| cell(&row.concat(), columns)).collect();
    let most = if paper.size.is_some() { LOOP_LINES } else { rows.len() };
    let hidden = rows.len().saturating_sub(most);
    lines.extend(rows.into_iter().take(most));
    if hidden > 0 {
        let more = format!("and {} more loops", loops.len() - most * side);
        lines.push(cell(&more, columns).trim_end().to_owned());
    }
    lines
}

fn stream_lines(known: &Known, paper: Paper, most: usize) -> Vec<String> {
    let columns = paper.columns();
    let streams = known.streams();
    let total = number(&known.streams["total"]);
    if streams.is_empty() {
        let begin = how_to_begin(known).into_iter().take(most);
        let begin = begin.map(|line| cell(&line, columns).trim_end().to_owned());
        return std::iter::once(paper.bold("STREAMS")).chain(begin).collect();
    }
    let name = (columns / 4).clamp(12, 40);
    let title = format!(
        "  {} {} {} {} {}",
        cell("STREAM", name),
        cell("HEALTH", 9),
        right("BIT RATE", 11),
        right("VIEWERS", 8),
        "MEDIA, PUBLISHER"
    );
    let mut lines = vec![paper.bold(&cell(&title, columns))];
    for stream in streams.iter().take(most) {
        let state = text(&stream["health"]["state"]);
        let level = Level::of(&state);
        let publish = &stream["publish"];
        let publisher = match publish["active"] == true {
            true => format!("{} {}", text(&publish["protocol"]), text(&publish["address"])),
            false => "no publisher".to_owned(),
        };
        let line = format!(
            "{} {} {} {} {} {}, {publisher}",
            level.sign(),
            cell(&text(&stream["id"]), name),
            cell(&state, 9),
            right(&rate(number(&stream["kbps"]["recv_now"]) as f64 * 1000.0), 11),
            right(&number(&stream["viewers"]["total"]).to_string(), 8),
            media(stream)
        );
        let line = cell(&line, columns);
        let level = if level == Level::Good { Level::Plain } else { level };
        lines.push(paper.painted(level, line.trim_end()));
    }
    let shown = streams.len().min(most) as u64;
    if total > shown
        && let Some(last) = lines.last_mut().filter(|_| shown > 1)
    {
        let more = format!("  and {} more streams", total - shown + 1);
        *last = cell(&more, columns).trim_end().to_owned();
    }
    lines
}

/// What to do where nothing is published.
fn how_to_begin(known: &Known) -> [String; HOW_TO_BEGIN] {
    let publish = &known.summary["publish"];
    let Some(port) = publish["port"].as_u64() else {
        let none = "nothing is published, and nobody can publish: [rtmp] listen is empty";
        return [none.to_owned(), String::new(), String::new()];
    };
    let server =
        format!("{}://{}:{port}/live", text(&publish["scheme"]), words::clean(&known.host));
    [
        format!("nothing is published yet; an encoder publishes to {server}/NAME"),
        format!("  ffmpeg -re -i FILE -c copy -f flv {server}/talk"),
        format!("  OBS: Settings, Stream, Custom; Server {server}, Stream key talk"),
    ]
}

fn player_lines(players: &[&Value], paper: Paper, most: usize) -> Vec<String> {
    let columns = paper.columns();
    if players.is_empty() {
        return vec![paper.bold("SLOWEST PLAYERS"), "nobody plays".to_owned()];
    }
    let name = (columns / 6).clamp(10, 30);
    let title = format!(
        "  {} {} {} {} {}",
        cell("SLOWEST PLAYERS", 24),
        cell("STREAM", name),
        right("BEHIND", 8),
        right("SKIPS", 6),
        "WHY"
    );
    let mut lines = vec![paper.bold(&cell(&title, columns))];
    for player in players.iter().take(most) {
        let lag = number(&player["lag_ms"]);
        let level = match lag {
            0..500 => Level::Plain,
            500..2000 => Level::Notice,
            _ => Level::Bad,
        };
        let has_address = player["address"].is_string();
        let who = if has_address { &player["address"] } else { &player["id"] };
        let line = format!(
            "{} {} {} {} {} {}",
            level.sign(),
            cell(&text(who), 24),
            cell(&text(&player["stream"]), name),
            right(&player["lag_ms"].as_u64().map_or("-".to_owned(), millis), 8),
            right(&number(&player["skips"]).to_string(), 6),
            text(&player["slow"])
        );
        lines.push(paper.painted(level, cell(&line, columns).trim_end()));
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known(streams: usize, players: usize) -> Known {
        let stream = |n: usize| {
            json!({
                "id": format!("live/{n}"), "health": { "state": "good", "why": "" },
                "kbps": { "recv_now": 2500 }, "viewers": { "total": 7 },
                "video": { "codec": "H264", "width": 1280, "height": 720, "frame_rate": 30.0, "gop_ms": 2000 },
                "audio": null,
                "publish": { "active": true, "protocol": "rtmp", "address": "192.0.2.1:1" },
            })
        };
        let player = |n: usize| {
            json!({
                "id": format!("0-{n}"), "publish": false, "address": format!("192.0.2.2:{n}"),
                "stream": "live/1", "lag_ms": 2310, "skips": 47, "slow": "it does not read",
            })
        };
        let loops = vec![json!({ "busy": 0.5, "players": 3 }); 40];
        Known {
            summary: json!({
                "server": "edge1", "version": "1", "uptime_seconds": 70.5, "loops": loops,
                "streams_live": streams, "players": players, "bytes_in": 0, "bytes_out": 0,
            }),
            streams: json!({ "total": 1000, "streams": (0..streams).map(stream).collect::<Vec<_>>() }),
            clients: json!({ "clients": (0..players).map(player).collect::<Vec<_>>() }),
            events: (0..200)
                .map(|n| json!({ "event": "play", "stream": "a", "time_ms": n }))
                .collect(),
            ..Known::default()
        }
    }

    #[test]
    fn it_fits_every_terminal() {
        for known in [known(50, 20), known(1, 0), known(0, 0), Known::default()] {
            for rows in [1, 2, 5, 10, 24, 60] {
                for columns in [20, 40, 80, 200] {
                    let paper = Paper { size: Some((rows, columns)), has_colours: false };
                    let lines = draw(&known, paper);
                    assert_eq!(lines.len(), rows);
                    let longest = lines.iter().map(|line| line.width()).max();
                    assert!(longest.unwrap() <= columns, "{columns}: {lines:#?}");
                }
            }
        }
    }

    #[test]
    fn cells_are_as_wide_as_they_are_seen() {
        for (text, width, left, right_side) in [
            ("abc", 5, "abc  ", "  abc"),
            ("abcdef", 5, "abcd…", "abcd…"),
            ("日本語", 6, "日本語", "日本語"),
            ("日本語", 8, "日本語  ", "  日本語"),
            // A letter of two columns does not fit where one is left.
            ("日本語", 5, "日本…", "日本…"),
            ("日本語", 4, "日… ", " 日…"),
            ("e\u{301}t\u{301}e", 4, "e\u{301}t\u{301}e ", " e\u{301}t\u{301}e"),
            ("", 2, "  ", "  "),
        ] {
            assert_eq!((&*cell(text, width), &*right(text, width)), (left, right_side), "{text}");
        }
    }

    #[test]
    fn everything_is_there() {
        let page = draw(&known(3, 2), Paper { size: Some((50, 160)), has_colours: false });
        let page = page.join("\n");
        for words in [
            "edge1  Weir 1  up 1 min 10 s",
            "2 players are more than 2.0 s behind",
            "loop 0  [||||||||||          ]  50 % 3 players",
            "live/0",
            "2.5 Mbit/s",
            "H264 1280x720 30 fps GOP 2.0 s, rtmp 192.0.2.1:1",
            "2.3 s     47 it does not read",
            "plays a by",
        ] {
            assert!(page.contains(words), "{words} in {page}");
        }
        assert!(!page.contains('\x1b'));
    }

    #[test]
    fn how_to_begin_is_said_where_there_is_nothing() {
        let mut known = Known { host: "[::1]".to_owned(), ..known(0, 0) };
        known.summary["publish"] = json!({ "scheme": "rtmps", "port": 4443 });
        let page = |known: &Known, rows| {
            draw(known, Paper { size: Some((rows, 100)), has_colours: false }).join("\n")
        };
        let shown = page(&known, 40);
        for words in [
            "publishes to rtmps://[::1]:4443/live/NAME",
            "ffmpeg -re -i FILE -c copy -f flv rtmps://[::1]:4443/live/talk",
            "Server rtmps://[::1]:4443/live, Stream key talk",
            "and 36 more loops",
        ] {
            assert!(shown.contains(words), "{words} in {shown}");
        }
        known.summary["publish"] = Value::Null;
        assert!(page(&known, 40).contains("nobody can publish"));
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let page = draw(&known(50, 20), Paper { size: Some((24, 100)), has_colours: false });
        let is_it = |line: &String| line.starts_with("  and 99") && line.ends_with(" more streams");
        assert!(page.iter().any(is_it), "{page:#?}");
    }

    #[test]
    fn what_was_moved_gives_rates() {
        let mut known = known(0, 0);
        let began = Instant::now();
        for second in 0..5_u64 {
            known.summary["bytes_out"] = (second * 1000).into();
            known.note_flow(began + Duration::from_secs(second));
        }
        assert_eq!(known.rates(), (0.0, 8000.0));
        known.summary["bytes_out"] = 0.into();
        known.note_flow(began + Duration::from_secs(9));
        assert_eq!(known.flow.len(), 1, "another run");
    }
}
