//! Fetches URLs one after the other and says of each what came: status, length, time.
//!
//!     cargo run --release -p network --example http_client -- http://127.0.0.1:8080/hello/you
//!     cargo run --release -p network --example http_client -- --repeat 100 https://example.org/
//!
//! Repeated requests share one connection. The exit code is 0 where every answer was a success.

use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use clap::Parser;
use network::EventLoop;
use network::http::{Client, ClientOptions, ClientRequest, Url};
use network::tls::TlsClient;

#[derive(Parser)]
struct Args {
    /// What to fetch
    #[arg(required = true)]
    urls: Vec<Url>,
    /// How often to fetch each
    #[arg(long, default_value_t = 1)]
    repeat: usize,
}

/// Fetches the first of what is left, and then the others.
fn next(
    el: &mut EventLoop,
    client: Rc<Client>,
    mut left: impl Iterator<Item = Url> + 'static,
    failed: Rc<Cell<bool>>,
) {
    let Some(url) = left.next() else { return el.stop() };
    let began = Instant::now();
    let asker = Rc::clone(&client);
    asker.fetch(el, ClientRequest::get(url), move |el, outcome| {
        let time = began.elapsed();
        match outcome {
            Ok(answer) => {
                println!(
                    "{} {} {} bytes in {time:.1?}",
                    answer.url,
                    answer.status,
                    answer.body.len()
                );
                failed.set(failed.get() || !answer.status.is_success());
            }
            Err(error) => {
                eprintln!("{error}");
                failed.set(true);
            }
        }
        next(el, client, left, failed);
    });
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Args { urls, repeat } = Args::parse();
    let tls = urls.iter().any(Url::is_https).then(TlsClient::system).transpose()?;
    let client = Client::new(ClientOptions { tls, ..ClientOptions::default() });
    let urls = urls.into_iter().flat_map(move |url| std::iter::repeat_n(url, repeat));
    let failed = Rc::new(Cell::new(false));

    let mut el = EventLoop::new()?;
    next(&mut el, client, urls, Rc::clone(&failed));
    el.run();
    Ok(if failed.get() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
