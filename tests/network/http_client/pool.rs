//! Connections that are kept.

use super::*;

#[test]
fn a_kept_connection_that_was_just_closed_costs_one_retry() {
    // Each connection answers once, then hears a second request and closes.
    let peer = Peer::start(|_, line| {
        line.hear();
        line.say(ok("once"));
        line.hear();
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    for n in 1..4 {
        assert_eq!(get(&mut el, &client, &peer.url("/")).unwrap().body, "once");
        assert_eq!((peer.accepted(), client.idle()), (n, 1));
    }
    let error = ask(&mut el, &client, ClientRequest::post(peer.url("/"), "x/y", "z")).unwrap_err();
    assert!(error.to_string().contains("before the answer"), "{error}");
    assert_eq!(peer.accepted(), 3, "a POST is not sent twice");
}

#[test]
fn a_retry_is_the_last() {
    let peer = Peer::start(|number, line| {
        line.hear();
        if number == 1 {
            line.say(ok("once"));
            line.hear();
        }
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    get(&mut el, &client, &peer.url("/")).unwrap();
    let error = get(&mut el, &client, &peer.url("/")).unwrap_err();
    assert!(error.to_string().contains("before the answer"), "{error}");
    assert_eq!(peer.accepted(), 2);
}

#[test]
fn a_retry_takes_no_other_kept_connection() {
    let peer = Peer::start(|number, line| {
        line.hear();
        // Both of the first two are idle at the same time.
        thread::sleep(if number <= 2 { SHORT } else { Duration::ZERO });
        line.say(ok("once"));
        line.hear();
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    let both = [0; 2].map(|_| begin(&mut el, &client, ClientRequest::get(peer.url("/"))).1);
    run_until(&mut el, LIMIT, || both.iter().all(|outcomes| !outcomes.borrow().is_empty()));
    assert_eq!(client.idle(), 2);
    assert_eq!(get(&mut el, &client, &peer.url("/")).unwrap().body, "once");
    assert_eq!(peer.accepted(), 3);
}

#[test]
fn a_kept_connection_the_server_closes_is_noticed_at_once() {
    let peer = Peer::start(|_, line| {
        line.hear();
        line.say(ok(""));
        thread::sleep(SHORT);
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    get(&mut el, &client, &peer.url("/")).unwrap();
    assert_eq!((client.idle(), client.connections()), (1, 1));
    run_until(&mut el, Duration::from_secs(1), || client.connections() == 0);
    assert_eq!(client.idle(), 0);
    // Not even a POST is in danger then.
    ask(&mut el, &client, ClientRequest::post(peer.url("/"), "x/y", "z")).unwrap();
}

#[test]
fn what_is_kept_is_bounded_in_number_and_time() {
    let mut el = EventLoop::new().unwrap();
    let (base, accepted) = serve(&mut el);
    let client = client_with(|options| {
        options.idle_at_most = 3;
        options.idle_at_least = 1;
        options.idle_for = SHORT;
    });
    let url = base.join("/hello/x").unwrap();
    let all = [0; 6].map(|_| begin(&mut el, &client, ClientRequest::get(url.clone())).1);
    run_until(&mut el, LIMIT, || all.iter().all(|outcomes| !outcomes.borrow().is_empty()));
    assert_eq!(accepted.get(), 6);
    assert_eq!(client.idle(), 3);
    run_until(&mut el, LIMIT, || client.connections() == 1);
    turn_for(&mut el, 3 * SHORT);
    assert_eq!((client.idle(), client.connections_to(&base)), (1, 1), "one is spared");
    get(&mut el, &client, &url).unwrap();
    assert_eq!(accepted.get(), 6);
}

#[test]
fn an_idle_connection_in_use_does_not_grow_old() {
    let mut el = EventLoop::new().unwrap();
    let (base, accepted) = serve(&mut el);
    let client = client_with(|options| options.idle_for = 4 * SHORT);
    let until = Instant::now() + 12 * SHORT;
    while Instant::now() < until {
        get(&mut el, &client, &base.join("/hello/x").unwrap()).unwrap();
        turn_for(&mut el, SHORT / 2);
    }
    assert_eq!(accepted.get(), 1);
    let timers = el.timers();
    assert!(timers < 12, "requests leave no timers behind: {timers}");
    run_until(&mut el, LIMIT, || client.connections() == 0);
}

#[test]
fn connections_are_opened_ahead_of_requests() {
    let mut el = EventLoop::new().unwrap();
    let (base, accepted) = serve(&mut el);
    let client = client_with(|options| options.idle_at_least = 2);
    client.prepare(&mut el, &base);
    client.prepare(&mut el, &base);
    run_until(&mut el, LIMIT, || client.idle() == 2);
    get(&mut el, &client, &base.join("/hello/x").unwrap()).unwrap();
    assert_eq!((accepted.get(), client.idle()), (2, 2));

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    client.prepare(&mut el, &format!("http://{closed}/").parse().unwrap());
    assert_eq!(client.connections(), 4);
    run_until(&mut el, LIMIT, || client.connections() == 2);
}

#[test]
fn a_client_that_is_gone_keeps_nothing() {
    let mut el = EventLoop::new().unwrap();
    let (base, _) = serve(&mut el);
    let client = client_with(|options| {
        options.idle_for = SHORT;
        options.idle_at_least = 5;
    });
    get(&mut el, &client, &base.join("/hello/x").unwrap()).unwrap();
    assert_eq!(el.sources(), 3);
    drop(client);
    run_until(&mut el, LIMIT, || true);
    turn_for(&mut el, 2 * SHORT);
    assert_eq!(el.sources(), 1, "the listener alone");
}

#[test]
fn a_server_that_answers_before_it_has_the_request_is_not_asked_again() {
    let peer = Peer::start(|number, line| {
        if number == 1 {
            let mut some = [0; 1000];
            line.0.read_exact(&mut some).unwrap();
            line.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
            assert!(line.is_closed());
        } else {
            line.hear();
            line.say(ok("second"));
        }
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    let request = ClientRequest::post(peer.url("/"), "x/y", vec![0; 32 << 20]);
    let answer = ask(&mut el, &client, request).unwrap();
    assert_eq!(answer.status, StatusCode::CONTENT_TOO_LARGE);
    assert_eq!(client.idle(), 0);
    assert_eq!(get(&mut el, &client, &peer.url("/")).unwrap().body, "second");
}

/// For [`CloseReason`]: what a server sees of a client that is done with it.
struct Watcher {
    inner: Box<dyn Handler>,
    reasons: Rc<RefCell<Vec<&'static str>>>,
}

impl Handler for Watcher {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.inner.opened(conn, el);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        self.inner.received(conn, el, input)
    }

    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        self.reasons.borrow_mut().push(reason.label());
        self.inner.closed(conn, el, reason);
    }
}

#[test]
fn an_idle_connection_ends_without_a_reset() {
    let mut el = EventLoop::new().unwrap();
    let server =
        Server::builder().route(Method::Get, "/", |_, reply, _| reply.text("x")).unwrap().build();
    let reasons = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&reasons);
    let make = move |_: &mut EventLoop| -> Box<dyn Handler> {
        Box::new(Watcher { inner: server.handler(), reasons: Rc::clone(&list) })
    };
    let (base, _) = listen(&mut el, make, None);
    let client = client_with(|options| options.idle_for = SHORT);
    get(&mut el, &client, &base).unwrap();
    run_until(&mut el, LIMIT, || !reasons.borrow().is_empty());
    assert_eq!(&reasons.borrow()[..], ["peer"]);
}
