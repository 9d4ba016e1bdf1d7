//! The config file: whether one is good, and what it says.
//!
//! A file is read and checked whole before any of it is used; all that is wrong is said at once.
//! `config/default.toml` explains each key to whoever writes a file; it is what `weir config` prints.

mod reader;
mod sections;
mod shown;
pub mod value;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use network::{Endpoint, tls::TlsServer};

use reader::{Fault, Reader, one_line};
pub use sections::*;
pub use shown::CommandLine;
use value::{shown_duration, shown_size};

/// A config file with every key explained, commented out and at its default.
pub const DEFAULT_FILE: &str = include_str!("config/default.toml");

/// A config file is text of a few kilobytes; whatever is larger than this is something else.
const LARGEST_FILE: u64 = 1 << 20;
/// A file of another format is wrong in each line; the first faults tell that.
const FAULTS_SHOWN: usize = 20;

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[rtmp]`
    pub rtmp: Rtmp,
    /// `[http]`
    pub http: Http,
    /// `[api]`
    pub api: Api,
    /// `[tls]`
    pub tls: Tls,
    /// `[publish]`
    pub publish: Publish,
    /// `[play]`
    pub play: Play,
    /// `[hls]`
    pub hls: Hls,
    /// `[log]`
    pub log: Log,
    /// `[limits]`
    pub limits: Limits,
}

/// What is wrong with a config file: a line of text for each fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    lines: Vec<String>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl ConfigError {
    fn whole_file(name: &str, what: impl fmt::Display) -> Self {
        Self { lines: vec![format!("{}: {what}", one_line(name))] }
    }

    fn of_faults(name: &str, text: &str, mut faults: Vec<Fault>) -> Self {
        let unshown = faults.len().saturating_sub(FAULTS_SHOWN);
        faults.truncate(FAULTS_SHOWN);
        let name = one_line(name);
        let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let mut lines: Vec<String> = faults
            .iter()
            .map(|fault| format!("{name}:{}: {}", line(fault.at), fault.what))
            .collect();
        if unshown > 0 {
            lines.push(format!("{name}: and {unshown} more"));
        }
        Self { lines }
    }
}

/// Two settings that do not go together.
struct Conflict {
    /// The keys, dotted; the first begins the message.
    keys: [&'static str; 2],
    what: String,
}

impl Config {
    /// Reads and checks a file, the certificate it names included. Relative paths in it start at its
    /// own folder, so that it means the same wherever the server is started.
    ///
    /// # Errors
    /// The file, or one it names, cannot be read, or what it says is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let unreadable = |error| ConfigError::whole_file(&name, format!("cannot be read: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST_FILE {
            let most = shown_size(LARGEST_FILE);
            let what = format!("is larger than {most}, expected a config file");
            return Err(ConfigError::whole_file(&name, what));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let known = String::from_utf8_lossy(error.as_bytes());
            let what = "found bytes that are no UTF-8, expected text".to_owned();
            ConfigError::of_faults(&name, &known, vec![Fault { at, what }])
        })?;
        let (mut config, reader) = Self::read(&text, &name)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in [&mut config.tls.certificate, &mut config.tls.key].into_iter().flatten() {
            *file = folder.join(&*file);
        }
        if let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key)
            && let Err(error) = TlsServer::from_pem_files(certificate, key)
        {
            let at = reader.place("tls.certificate").unwrap_or(0);
            let what = format!("tls.certificate: {error}");
            return Err(ConfigError::of_faults(&name, &text, vec![Fault { at, what }]));
        }
        Ok(config)
    }

    /// Reads and checks a text; `name` begins each line of an error. Files that it names are not
    /// looked at.
    ///
    /// # Errors
    /// What it says is wrong.
    #[allow(dead_code, reason = "for whoever has a text and no file, as tests have")]
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        Self::read(text, name).map(|(config, _)| config)
    }

    /// Checks that the settings go together; for a config that was changed after it was read, by
    /// options of the command line. `name` begins each line of an error.
    ///
    /// # Errors
    /// Some do not.
    pub fn check(&self, name: &str) -> Result<(), ConfigError> {
        let conflicts = self.conflicts();
        if conflicts.is_empty() {
            return Ok(());
        }
        let lines = conflicts
            .iter()
            .map(|conflict| format!("{}: {}: {}", one_line(name), conflict.keys[0], conflict.what));
        Err(ConfigError { lines: lines.collect() })
    }

    fn read<'t>(text: &'t str, name: &str) -> Result<(Self, Reader<'t>), ConfigError> {
        let mut reader =
            Reader::new(text).map_err(|fault| ConfigError::of_faults(name, text, vec![fault]))?;
        let config = Self {
            server: Server::read(reader.section("server")),
            rtmp: Rtmp::read(reader.section("rtmp")),
            http: Http::read(reader.section("http")),
            api: Api::read(reader.section("api")),
            tls: Tls::read(reader.section("tls")),
            publish: Publish::read(reader.section("publish")),
            play: Play::read(reader.section("play")),
            hls: Hls::read(reader.section("hls")),
            log: Log::read(reader.section("log")),
            limits: Limits::read(reader.section("limits")),
        };
        let mut faults = reader.faults();
        // A key that is wrong stands at its default here, which would conflict with others for
        // reasons that are not in the file.
        if faults.is_empty() {
            faults.extend(config.conflicts().into_iter().map(|Conflict { keys, what }| {
                let at = keys.iter().find_map(|key| reader.place(key)).unwrap_or(0);
                let absent = reader.place(keys[0]).is_none();
                let default = if absent { " (at its default)" } else { "" };
                Fault { at, what: format!("{}{default}: {what}", keys[0]) }
            }));
            faults.sort_by_key(|fault| fault.at);
        }
        if faults.is_empty() {
            return Ok((config, reader));
        }
        Err(ConfigError::of_faults(name, text, faults))
    }

    fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        let doors = [
            ("rtmp.listen", &self.rtmp.listen, false),
            ("rtmp.tls_listen", &self.rtmp.tls_listen, true),
            ("http.listen", &self.http.listen, false),
            ("http.tls_listen", &self.http.tls_listen, true),
        ];
        let open = doors.iter().filter_map(|(key, at, tls)| at.as_ref().map(|at| (*key, at, *tls)));
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            conflicts.push(Conflict {
                keys: ["rtmp.listen", "http.listen"],
                what: "found nothing that listens, expected an address of RTMP or HTTP".to_owned(),
            });
        }
        for (i, (key, at, tls)) in open.iter().enumerate() {
            if *tls && self.tls.certificate.is_none() {
                conflicts.push(Conflict {
                    keys: [key, "tls.certificate"],
                    what: format!("found \"{at}\", expected tls.certificate and tls.key with it"),
                });
            }
            // Port 0 is another free one each time.
            let any_port = matches!(at, Endpoint::Ip(address) if address.port() == 0);
            if let Some((other, ..)) = open[..i].iter().find(|(_, other, _)| other == at)
                && !any_port
            {
                conflicts.push(Conflict {
                    keys: [key, other],
                    what: format!("found \"{at}\", expected another address than {other}"),
                });
            }
        }
        match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => conflicts.push(Conflict {
                keys: ["tls.key", "tls.certificate"],
                what: "found none, expected the private key of tls.certificate".to_owned(),
            }),
            (None, Some(_)) => conflicts.push(Conflict {
                keys: ["tls.certificate", "tls.key"],
                what: "found none, expected the certificate of tls.key".to_owned(),
            }),
            _ => {}
        }
        let Play { latency_budget, skip_after, close_after, skip_bytes, .. } = self.play;
        let Hls { segment, longest_segment, part, window, .. } = self.hls;
        let below = [
            (("play.latency_budget", latency_budget), ("play.skip_after", skip_after)),
            (("play.skip_after", skip_after), ("play.close_after", close_after)),
            (("hls.part", part), ("hls.segment", segment)),
            (("hls.segment", segment), ("hls.longest_segment", longest_segment)),
            (("hls.segment", segment), ("hls.window", window)),
        ];
        for ((key, value), (other, more)) in below {
            if value >= more {
                conflicts.push(Conflict {
                    keys: [key, other],
                    what: format!(
                        "found {:?}, expected less than {other}, which is {:?}",
                        shown_duration(value),
                        shown_duration(more)
                    ),
                });
            }
        }
        if skip_bytes > self.log.bytes {
            conflicts.push(Conflict {
                keys: ["play.skip_bytes", "log.bytes"],
                what: format!(
                    "found {:?}, expected at most log.bytes, which is {:?}",
                    shown_size(skip_bytes as u64),
                    shown_size(self.log.bytes as u64)
                ),
            });
        }
        let Publish { silent_after, close_silent_after, .. } = self.publish;
        if silent_after > close_silent_after {
            conflicts.push(Conflict {
                keys: ["publish.silent_after", "publish.close_silent_after"],
                what: format!(
                    "found {:?}, expected at most publish.close_silent_after, which is {:?}",
                    shown_duration(silent_after),
                    shown_duration(close_silent_after)
                ),
            });
        }
        if self.api.cors.as_deref() == Some("*") && self.api.token.is_none() {
            conflicts.push(Conflict {
                keys: ["api.cors", "api.token"],
                what:
                    "found \"*\" without api.token: any page that somebody on this machine looks \
                       at could read and end everything"
                        .to_owned(),
            });
        }
        if !self.api.announce_to.is_empty() && self.api.play_url.is_none() {
            conflicts.push(Conflict {
                keys: ["api.announce_to", "api.play_url"],
                what:
                    "found other nodes, expected api.play_url with them: they tell players where \
                       this machine is"
                        .to_owned(),
            });
        }
        let Limits { connections, connections_per_address, .. } = self.limits;
        if connections > 0 && connections_per_address > connections {
            conflicts.push(Conflict {
                keys: ["limits.connections_per_address", "limits.connections"],
                what: format!(
                    "found {connections_per_address}, expected at most limits.connections, which \
                     is {connections}"
                ),
            });
        }
        conflicts
    }
}

#[cfg(test)]
mod tests;
