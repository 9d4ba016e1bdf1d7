//! `weir top`: how a server goes, at a terminal; what its console shows, in text.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `asker` | the API, asked over and over; events, read for as long as they come |
//! | `frame` | what is shown, as text of so many lines and columns |
//! | `words` | figures and events in words; what is not well |
//! | `terminal` | the terminal: taken, written to, given back |

mod asker;
mod frame;
mod terminal;
mod words;

use std::error::Error;
use std::io::IsTerminal;
use std::time::Duration;

use network::http::Url;

use crate::units;

/// Options of `weir top`.
#[derive(clap::Args)]
pub struct Args {
    /// The server, where it speaks HTTP
    #[arg(default_value = "http://127.0.0.1:8080", value_parser = url)]
    url: Url,
    /// What `[api] token` is in the server's config
    #[arg(long, env = "WEIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How often it asks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = every)]
    every: Duration,
}

/// A URL, or what can be made one: `edge1:8080`.
fn url(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url: Url =
        whole.parse().map_err(|error| format!("{error}; write it like http://127.0.0.1:8080"))?;
    match url.target() {
        "" | "/" => Ok(url),
        path => Err(format!("the API is at the server itself: leave {path} out")),
    }
}

fn every(text: &str) -> Result<Duration, String> {
    let time = units::duration(text)?;
    match time < Duration::from_millis(100) {
        true => Err("a server is asked at least 100ms apart".to_owned()),
        false => Ok(time),
    }
}

/// Shows it until somebody leaves; once where nobody looks.
pub fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let is_seen = std::io::stdout().is_terminal();
    asker::run(args, is_seen)
}
