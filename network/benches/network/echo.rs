//! Echo: whatever comes goes back, every byte of it checked.

use std::sync::Arc;

use network::{Bound, Connection, EventLoop, Handler, SetupResult};

use crate::load::{self, Sample, Script, Server};
use crate::measure::{self, Outcome};

/// Connections, bytes of a message.
const CASES: [(usize, usize); 4] = [(100, 64), (100, 4096), (1000, 64), (1000, 4096)];

pub fn run() -> Outcome<()> {
    let samples = measure::in_turn(&CASES, |turn, &(conns, size)| {
        eprintln!("echo: {conns} connections, {size} bytes, run {turn}");
        Server::start(serve)?.load(&script(size), conns, 1)
    })?;
    let rows = CASES.iter().zip(&samples).map(|((conns, size), runs)| {
        let mut row = vec![conns.to_string(), size.to_string()];
        row.extend(Sample::cells(runs));
        row.push("`cargo bench -p network -- echo`".into());
        row
    });
    let heads = [&["connections", "bytes"], &load::COLUMNS[..], &["command"]].concat();
    measure::table("Echo, one message in flight per connection", &heads, &rows.collect::<Vec<_>>());
    Ok(())
}

/// Puts the echo server on a loop.
pub fn serve(el: &mut EventLoop, bound: Bound) -> SetupResult {
    el.accept_on(bound, |_, _| Some(Box::new(Echo)))?;
    Ok(())
}

/// The handler of the example of that name.
pub struct Echo;

impl Handler for Echo {
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        conn.send_now(input);
        input.len()
    }
}

/// Bytes without a pattern, so that a byte lost or moved shows.
fn script(size: usize) -> Arc<Script> {
    Arc::new(Script::echo(noise(64 * 1024), size))
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        // The constants of Knuth's MMIX; the high bits of such a generator are the good ones.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}
