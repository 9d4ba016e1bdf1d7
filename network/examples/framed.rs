//! A protocol of one's own: each message is four bytes of length, big-endian, and that many bytes.
//! The server answers each message with its bytes reversed.
//!
//!     cargo run --release -p network --example framed -- --port 2010

use clap::Parser;
use network::{CloseReason, Connection, EventLoop, Handler, Listen, Threads};

#[derive(Parser)]
struct Args {
    /// Port on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 2010)]
    port: u16,
    /// Loops, one thread each
    #[arg(long, default_value_t = network::default_loops())]
    loops: usize,
}

/// A longer message is refused before a byte of it is kept.
const MESSAGE_AT_MOST: usize = 1 << 20;

/// A message and what comes behind it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The first whole message of `input` and what comes behind it.
fn split_message(input: &[u8]) -> Result<Option<Split<'_>>, CloseReason> {
    let Some((length, rest)) = input.split_first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MESSAGE_AT_MOST {
        return Err(CloseReason::TooLarge(MESSAGE_AT_MOST));
    }
    Ok(rest.split_at_checked(length))
}

struct Reverser;

impl Handler for Reverser {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        conn.set_unconsumed(MESSAGE_AT_MOST + 4);
    }

    /// Consumes whole messages; what is left comes again in front of the next bytes.
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        let mut left = input;
        loop {
            match split_message(left) {
                Ok(Some((message, rest))) => {
                    conn.compose(|out| {
                        out.extend((message.len() as u32).to_be_bytes());
                        out.extend(message.iter().rev());
                    });
                    left = rest;
                }
                Ok(None) => return input.len() - left.len(),
                Err(reason) => {
                    conn.close_because(reason);
                    return input.len();
                }
            }
        }
    }

    fn closed(&mut self, conn: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        println!("{:?}: {reason}", conn.peer());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    network::raise_open_files()?;
    let listeners = Listen::on(([127, 0, 0, 1], args.port).into()).bind_each(args.loops)?;
    println!("length-prefixed messages on {}", listeners[0].endpoint());
    let threads = Threads::start(listeners, None, |el, _, listener| {
        el.accept_on(listener, |_, _| Some(Box::new(Reverser)))?;
        Ok(())
    })?;
    threads.join();
    Ok(())
}
