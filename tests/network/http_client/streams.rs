//! Answers handled as they come.

use super::*;

#[test]
fn a_stream_comes_in_pieces_and_is_not_bounded() {
    let mut el = EventLoop::new().unwrap();
    let (base, _) = serve(&mut el);
    let client = client_with(|options| {
        options.body_at_most = 10;
        options.total_within = Duration::from_millis(1);
    });
    let listener = Listener::new(|from, _, _| {
        assert_eq!((from.redirects(), from.url().path()), (0, "/large"));
        assert!(from.connection().peer().is_some() && !from.fetch().is_over());
    });
    let heard = Rc::clone(&listener.heard);
    let request = ClientRequest::get(base.join("/large").unwrap());
    client.stream(&mut el, request, Box::new(listener));
    run_until(&mut el, LIMIT, || !heard.borrow().ends.is_empty());
    let heard = heard.borrow();
    assert!(heard.pieces > 10 && heard.ends[0].is_ok());
    assert_eq!((heard.head, heard.data.len()), (Some(StatusCode::OK), 5 << 20));
    assert_eq!(client.idle(), 1);
}

#[test]
fn a_paused_stream_stops_its_server_and_outlasts_the_bounds() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let peer = Peer::start(move |_, line| {
        line.hear();
        line.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"1000\r\n", &[b'x'; 4096][..], b"\r\n"].concat();
        for _ in 0..8192 {
            line.say(&chunk);
            count.fetch_add(4096, Ordering::SeqCst);
        }
        line.say("0\r\n\r\n");
        line.is_closed();
    });
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| options.silent_within = 2 * SHORT);
    let listener = Listener::new(|from, el, piece| {
        if piece % 40 == 3 {
            from.pause(el);
        }
        if piece == 10 {
            from.pause(el);
            from.resume(el);
        }
    });
    let heard = Rc::clone(&listener.heard);
    let fetch = client.stream(&mut el, ClientRequest::get(peer.url("/")), Box::new(listener));
    run_until(&mut el, LIMIT, || heard.borrow().pieces == 3);
    turn_for(&mut el, 6 * SHORT);
    assert_eq!(heard.borrow().pieces, 3, "nothing comes while it is paused");
    assert!(sent.load(Ordering::SeqCst) < 24 << 20, "the server is stopped");
    assert!(!fetch.is_over());
    let until = Instant::now() + LIMIT;
    while heard.borrow().ends.is_empty() {
        assert!(Instant::now() < until);
        fetch.resume(&mut el);
        el.run_once(Duration::from_millis(1));
    }
    assert!(heard.borrow().ends[0].is_ok());
    assert_eq!(heard.borrow().data.len(), 32 << 20);
    assert_eq!(client.idle(), 1, "and the connection is kept");
}

#[test]
fn a_stream_paused_from_outside() {
    let peer = Peer::start(|_, line| {
        line.hear();
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
        thread::sleep(4 * SHORT);
        line.say("def");
        line.is_closed();
    });
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| options.silent_within = 2 * SHORT);
    let listener = Listener::new(|_, _, _| {});
    let heard = Rc::clone(&listener.heard);
    let fetch = client.stream(&mut el, ClientRequest::get(peer.url("/")), Box::new(listener));
    fetch.pause(&mut el);
    turn_for(&mut el, 6 * SHORT);
    assert_eq!(heard.borrow().head, None, "paused before there was an answer");
    fetch.resume(&mut el);
    run_until(&mut el, LIMIT, || !heard.borrow().ends.is_empty());
    assert!(heard.borrow().ends[0].is_ok() && heard.borrow().data == b"abcdef");
}

#[test]
fn a_stream_learns_why_it_ended() {
    let peer = Peer::saying_once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    let mut el = EventLoop::new().unwrap();
    let listener = Listener::new(|_, _, _| {});
    let heard = Rc::clone(&listener.heard);
    client().stream(&mut el, ClientRequest::get(peer.url("/")), Box::new(listener));
    run_until(&mut el, LIMIT, || !heard.borrow().ends.is_empty());
    let heard = heard.borrow();
    assert_eq!((heard.head, &heard.data[..]), (Some(StatusCode::OK), &b"12345"[..]));
    assert!(matches!(heard.ends[0].as_ref().unwrap_err().cause, ClientCause::Closed { .. }));
}

/// Sends back what comes, in capitals.
struct Shouter {
    got: Rc<RefCell<Vec<u8>>>,
}

impl Handler for Shouter {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        conn.send(b"hello");
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        self.got.borrow_mut().extend_from_slice(input);
        input.len()
    }

    fn timer(&mut self, _: &mut Connection, _: &mut EventLoop, _: u32) {
        panic!("a timer of whoever had the connection before");
    }
}

#[test]
fn a_connection_is_taken_over_with_all_that_follows_the_head() {
    let peer = Peer::start(|_, line| {
        line.hear();
        line.say(ok("not yet"));
        let request = line.hear().unwrap();
        assert!(request.contains("Upgrade: shout\r\nConnection: Upgrade\r\n"), "{request}");
        line.say("HTTP/1.1 101 Switching\r\nUpgrade: shout\r\nConnection: upgrade\r\n\r\nABC");
        let mut hello = [0; 5];
        line.0.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
        line.say("HELLO");
        line.is_closed();
    });
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| {
        options.connections_at_most = 1;
        options.idle_for = SHORT;
    });
    for _ in 0..2 {
        assert_eq!(get(&mut el, &client, &peer.url("/")).unwrap().body, "not yet");
        let got = Rc::new(RefCell::new(Vec::new()));
        let mut listener = Listener::new(|_, _, _| {});
        listener.takes = Some(Box::new(Shouter { got: Rc::clone(&got) }));
        let heard = Rc::clone(&listener.heard);
        let request = ClientRequest::get(peer.url("/")).upgrade("shout");
        let fetch = client.stream(&mut el, request, Box::new(listener));
        run_until(&mut el, LIMIT, || got.borrow().len() == 8);
        assert_eq!(&got.borrow()[..], b"ABCHELLO");
        assert!(fetch.is_over() && heard.borrow().ends.is_empty());
        assert_eq!(client.connections(), 0, "it is no longer the client's");
    }
    turn_for(&mut el, 2 * SHORT);
    assert_eq!(el.sources(), 2);

    get(&mut el, &client, &peer.url("/")).unwrap();
    let nobody = ClientRequest::get(peer.url("/")).upgrade("shout");
    let error = ask(&mut el, &client, nobody).unwrap_err();
    assert!(error.to_string().contains("nobody takes"), "{error}");
}
