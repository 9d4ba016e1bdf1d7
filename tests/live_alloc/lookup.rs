//! Looking a stream up costs no allocation at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use live::api::{About, Api, ReadFrom};
use live::{Counters, Hub, Loops, Settings, StreamName};
use network::http::Server;
use network::{EventLoop, Limiter, Listen};

use crate::counting::asked;

const REQUEST: &[u8] = b"GET /api/v1/stream/?streamname=s&edgename=edge240 HTTP/1.1\r\n\
    Host: 127.0.0.1:8080\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const TIMES: usize = 1000;

#[test]
fn of_a_stream() {
    let mut el = EventLoop::new().unwrap();
    let loops = Loops::default();
    loops.set(vec![el.handle()]);
    let counters: Arc<Counters> = Arc::default();
    let settings = Arc::new(Settings::default());
    let hub = Hub::start(&mut el, 0, loops, settings, Arc::clone(&counters));
    let about = About {
        version: "1.2.3",
        node: "edge240".to_owned(),
        play_url: None,
        publish: None,
        token: None,
        read_from: ReadFrom::Token,
        cors: None,
        announce: None,
        config: ["{}".to_owned(), "{}".to_owned()],
        counters: vec![counters],
        began: SystemTime::now(),
        started: Instant::now(),
        process: live::api::Process::default,
        limiter: Limiter::new(10, 10),
    };
    let api = Api::start(&mut el, &hub, Arc::new(about));
    let bound = Listen::on("127.0.0.1:0".parse().unwrap()).bind().unwrap();
    let address = bound.address().unwrap();
    let server = api.routes(Server::builder()).unwrap().build();
    el.accept_on(bound, move |_, _| Some(Rc::clone(&server).handler())).unwrap();
    let name = StreamName::parse("live/s").unwrap();
    let ticket = hub.publish(&mut el, &name, None).unwrap();

    let mut peer = TcpStream::connect(address).unwrap();
    peer.set_nonblocking(true).unwrap();
    let mut answer = [0; 1024];
    let mut ask = |el: &mut EventLoop| {
        peer.write_all(REQUEST).unwrap();
        loop {
            el.run_once(Duration::from_millis(1));
            if let Ok(n) = peer.read(&mut answer) {
                assert!(answer[..n].starts_with(b"HTTP/1.1 200"), "{n}");
                assert!(answer[..n].ends_with(b"\"load\":0.000}}"), "{n}");
                break;
            }
        }
    };
    (0..10).for_each(|_| ask(&mut el));
    let before = asked();
    (0..TIMES).for_each(|_| ask(&mut el));
    let counted = asked() - before;
    // Four times a second the hub looks around, and once a second it tells how its streams are.
    assert!(counted < TIMES / 10, "{counted} for {TIMES}");
    ticket.give_back(&mut el);
}
