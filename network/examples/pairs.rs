//! libevent's classic benchmark: N socket pairs are watched, A of them get one byte, and each byte
//! that arrives is passed on to the next pair until W were passed.
//!
//!     cargo run --release -p network --example pairs -- --pairs 1000 --active 100 --writes 1000

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use network::{EventLoop, Interest, Ready, Source, SourceId};

#[derive(Parser)]
struct Args {
    /// Socket pairs watched
    #[arg(long, default_value_t = 1000)]
    pairs: usize,
    /// Pairs that get a byte at the start
    #[arg(long, default_value_t = 100)]
    active: usize,
    /// Bytes passed on
    #[arg(long, default_value_t = 1000)]
    writes: usize,
    /// Measured rounds
    #[arg(long, default_value_t = 25)]
    rounds: usize,
}

/// What all pairs of a round share.
#[derive(Default)]
struct Round {
    left: Cell<usize>,
    fired: Cell<usize>,
    received: Cell<usize>,
}

/// The reading end of one pair, and the writing end of the next.
struct Pair {
    reader: Rc<UnixStream>,
    next: Rc<UnixStream>,
    round: Rc<Round>,
}

impl Source for Pair {
    fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {
        // With room for two, a read of one has emptied the socket: no second read is needed.
        let mut room = [0; 2];
        let got = (&*self.reader).read(&mut room).unwrap_or(0);
        let round = &*self.round;
        round.received.set(round.received.get() + got);
        if round.left.get() > 0 && (&*self.next).write_all(b"e").is_ok() {
            round.left.set(round.left.get() - 1);
            round.fired.set(round.fired.get() + 1);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    network::raise_open_files()?;
    let active = args.active.clamp(1, args.pairs.max(1));
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    for _ in 0..args.pairs {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        readers.push(Rc::new(reader));
        writers.push(Rc::new(writer));
    }
    let mut micros = Vec::new();
    for _ in 0..args.rounds {
        // As the original does, everything is watched anew in each round, outside the measured time.
        let mut el = EventLoop::new()?;
        let round = Rc::new(Round::default());
        for (i, reader) in readers.iter().enumerate() {
            let (reader, next) = (Rc::clone(reader), Rc::clone(&writers[(i + 1) % writers.len()]));
            let pair = Pair { reader: Rc::clone(&reader), next, round: Rc::clone(&round) };
            el.add(reader.as_fd(), Interest::READABLE, Box::new(pair))?;
        }
        round.left.set(args.writes);
        round.fired.set(active);
        for writer in writers.iter().step_by(args.pairs / active).take(active) {
            (&**writer).write_all(b"e")?;
        }
        let began = Instant::now();
        while round.received.get() != round.fired.get() {
            el.run_once(Duration::ZERO);
        }
        micros.push(began.elapsed().as_micros());
    }
    micros.sort_unstable();
    println!(
        "{{\"pairs\":{},\"active\":{active},\"writes\":{},\"rounds\":{},\"median_us\":{},\"min_us\":{}}}",
        args.pairs,
        args.writes,
        args.rounds,
        micros[micros.len() / 2],
        micros[0]
    );
    Ok(())
}
