//! Receivers that only count: the kernel throws their bytes away.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use network::{Connect, Connection, Endpoint, EventLoop, Handler, Options};

use crate::peers::{Acts, LIMIT, Shared, connected};
use crate::support::run_until;

struct Counts {
    read: Shared<usize>,
    discarded: Shared<Vec<usize>>,
    ended: Shared<bool>,
}

impl Handler for Counts {
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        self.read.change(|read| *read += input.len());
        assert!(conn.discard_input(1000));
        // What is left here is thrown away as well.
        input.len() / 2
    }

    fn discarded(&mut self, conn: &mut Connection, _: &mut EventLoop, bytes: usize) {
        self.discarded.change(|all| all.push(bytes));
        conn.send(b".");
    }

    fn ended(&mut self, conn: &mut Connection, _: &mut EventLoop, unconsumed: &[u8]) {
        assert!(unconsumed.is_empty());
        self.ended.change(|ended| *ended = true);
        conn.close();
    }
}

#[test]
fn bytes_are_counted_and_not_seen_from_the_call_on() {
    let mut el = EventLoop::new().unwrap();
    let (read, discarded, ended) = (Shared::new(0), Shared::new(Vec::new()), Shared::new(false));
    let handler = Counts { read: read.clone(), discarded: discarded.clone(), ended: ended.clone() };
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    peer.write_all(b"head").unwrap();
    run_until(&mut el, LIMIT, || read.get() > 0);
    assert_eq!(read.get(), 4);

    // Less than was asked for wakes nobody.
    peer.write_all(&[7; 999]).unwrap();
    for _ in 0..20 {
        el.run_once(Duration::from_millis(1));
    }
    assert_eq!(discarded.get(), []);
    peer.write_all(&[7]).unwrap();
    run_until(&mut el, LIMIT, || !discarded.get().is_empty());
    assert_eq!(discarded.get(), [1000]);
    // It may answer.
    let mut dot = [0];
    peer.read_exact(&mut dot).unwrap();
    assert_eq!(dot, *b".");

    // The end is told, behind what came before it.
    let writer = std::thread::spawn(move || {
        peer.write_all(&vec![7; 3_000_000]).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        // Dropped with unread bytes it would be a reset.
        peer.read_to_end(&mut Vec::new()).unwrap();
    });
    run_until(&mut el, LIMIT, || ended.get());
    writer.join().unwrap();
    assert_eq!(discarded.get().iter().sum::<usize>(), 3_001_000);
    assert_eq!(read.get(), 4);
}

/// Reads frames of a length in two bytes, and not what is in them.
struct Heads {
    heads: Shared<Vec<u16>>,
    discarded: Shared<usize>,
    rest: Shared<usize>,
}

impl Handler for Heads {
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        let (mut done, mut left) = (0, None);
        while let Some([a, b]) = input.get(done..done + 2) {
            let len = u16::from_be_bytes([*a, *b]);
            self.heads.change(|heads| heads.push(len));
            done += 2;
            let here = usize::from(len).min(input.len() - done);
            self.rest.change(|rest| *rest += here);
            done += here;
            left = Some(u64::from(len) - here as u64).filter(|left| *left > 0);
        }
        if let Some(left) = left {
            assert!(conn.discard_next(left));
        }
        done
    }

    fn discarded(&mut self, _: &mut Connection, _: &mut EventLoop, bytes: usize) {
        self.discarded.change(|all| *all += bytes);
    }
}

#[test]
fn what_comes_behind_discarded_bytes_is_received() {
    let mut el = EventLoop::new().unwrap();
    let (heads, discarded, rest) = (Shared::new(Vec::new()), Shared::new(0), Shared::new(0));
    let handler = Heads { heads: heads.clone(), discarded: discarded.clone(), rest: rest.clone() };
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    let lengths: Vec<u16> = (1..200).map(|nth: u16| nth.wrapping_mul(7919)).collect();
    let frames = lengths.clone();
    let writer = std::thread::spawn(move || {
        for (nth, len) in frames.into_iter().enumerate() {
            peer.write_all(&len.to_be_bytes()).unwrap();
            if nth % 3 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            peer.write_all(&vec![7; usize::from(len)]).unwrap();
        }
        peer
    });
    let all: usize = lengths.iter().map(|len| usize::from(*len)).sum();
    run_until(&mut el, LIMIT, || discarded.get() + rest.get() == all);
    assert_eq!(heads.get(), lengths);
    assert!(discarded.get() > 0);
    drop(writer.join().unwrap());
}

#[test]
fn a_unix_socket_cannot_discard() {
    let mut el = EventLoop::new().unwrap();
    let refused = Shared::new(None);
    let told = refused.clone();
    let path = std::env::temp_dir().join(format!("weir-discard-{}", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let handler =
        Acts::new().opened(move |conn, _| told.change(|told| *told = Some(conn.discard_input(1))));
    el.connect(Connect::to(Endpoint::Unix(path.clone())), |_, _| Some(Box::new(handler)));
    run_until(&mut el, LIMIT, || refused.get().is_some());
    assert_eq!(refused.get(), Some(false));
    drop(listener);
    std::fs::remove_file(path).unwrap();
}
