//! Requests given up, and the end of the loop.

use super::*;

#[test]
fn a_cancelled_request_says_nothing_and_closes_its_connection() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let peer = Peer::start(move |_, line| {
        let request = line.hear().unwrap_or_default();
        if request.starts_with("GET /half") {
            line.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        }
        if line.is_closed() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (_socket, _filled, hole) = black_hole();
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| options.connections_at_most = 1);

    // Before anything has begun.
    let (first, none) = begin(&mut el, &client, ClientRequest::get(peer.url("/")));
    first.cancel(&mut el);
    // While it connects, and while another waits behind it.
    let (fetch, connecting) = begin(&mut el, &client, ClientRequest::get(hole.clone()));
    let (waits, waiting) = begin(&mut el, &client, ClientRequest::get(hole));
    turn_for(&mut el, SHORT);
    assert_eq!((client.connections(), client.waiting()), (1, 1));
    waits.cancel(&mut el);
    assert_eq!(client.waiting(), 0);
    fetch.cancel(&mut el);
    assert_eq!((client.connections(), el.sources()), (0, 0));
    // While it waits for the answer, and within the body.
    for path in ["/", "/half"] {
        let heard = Rc::new(Cell::new(false));
        let listener = Listener::new({
            let heard = Rc::clone(&heard);
            move |_, _, _| heard.set(true)
        });
        let (said, alive) = (Rc::clone(&listener.heard), Rc::downgrade(&listener._alive));
        let request = ClientRequest::get(peer.url(path));
        let fetch = client.stream(&mut el, request, Box::new(listener));
        if path == "/half" {
            run_until(&mut el, LIMIT, || heard.get());
        }
        turn_for(&mut el, SHORT);
        let before = closed.load(Ordering::SeqCst);
        fetch.cancel(&mut el);
        assert!(alive.upgrade().is_none(), "the handler is dropped at once");
        run_until(&mut el, LIMIT, || closed.load(Ordering::SeqCst) == before + 1);
        assert!(fetch.is_over() && said.borrow().ends.is_empty());
        fetch.cancel(&mut el);
        run_until(&mut el, LIMIT, || client.connections() == 0);
    }
    assert!([none, connecting, waiting].iter().all(|outcomes| outcomes.borrow().is_empty()));
    drop((first, fetch, waits));
    assert_eq!((el.sources(), el.timers()), (0, 0));
    assert_eq!(Rc::strong_count(&client), 1);
}

#[test]
fn a_handler_may_give_up_from_within() {
    for at in [0, 1] {
        let peer = Peer::saying(ok(&"x".repeat(1 << 20)));
        let mut el = EventLoop::new().unwrap();
        let client = client();
        let listener = Listener::new(move |from, el, piece| {
            if piece == at {
                from.cancel(el);
            }
        });
        let (heard, alive) = (Rc::clone(&listener.heard), Rc::downgrade(&listener._alive));
        let request = ClientRequest::get(peer.url("/"));
        let fetch = client.stream(&mut el, request, Box::new(listener));
        run_until(&mut el, LIMIT, || fetch.is_over() && client.connections() == 0);
        assert!(alive.upgrade().is_none());
        assert_eq!((heard.borrow().pieces, heard.borrow().ends.len()), (at, 0));
    }
}

#[test]
fn the_end_of_a_cancelled_request_serves_the_next() {
    let peer = Peer::start(|number, line| {
        line.hear();
        if number == 1 {
            line.is_closed();
        } else {
            line.say(ok("next"));
        }
    });
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| options.connections_at_most = 1);
    let (first, _) = begin(&mut el, &client, ClientRequest::get(peer.url("/")));
    let (_, second) = begin(&mut el, &client, ClientRequest::get(peer.url("/")));
    turn_for(&mut el, SHORT);
    assert_eq!((peer.accepted(), client.waiting()), (1, 1));
    first.cancel(&mut el);
    run_until(&mut el, LIMIT, || !second.borrow().is_empty());
    assert_eq!(second.borrow_mut().pop().unwrap().unwrap().body, "next");
}

#[test]
fn whoever_waits_gets_the_place_of_a_connection_that_is_not_made() {
    let (_socket, _filled, hole) = black_hole();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed: Url = format!("http://{closed}/").parse().unwrap();
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| options.connections_at_most = 1);
    let all = [0; 3].map(|_| begin(&mut el, &client, ClientRequest::get(closed.clone())).1);
    run_until(&mut el, LIMIT / 2, || all.iter().all(|outcomes| !outcomes.borrow().is_empty()));
    for outcomes in all {
        let error = outcomes.borrow_mut().pop().unwrap().unwrap_err();
        assert!(matches!(error.cause, ClientCause::Connect(_)), "{error}");
    }
    let (first, _) = begin(&mut el, &client, ClientRequest::get(hole.clone()));
    let (second, _) = begin(&mut el, &client, ClientRequest::get(hole));
    turn_for(&mut el, SHORT);
    assert_eq!((client.connections(), client.waiting()), (1, 1));
    first.cancel(&mut el);
    assert_eq!((client.connections(), client.waiting()), (1, 0));
    second.cancel(&mut el);
    run_until(&mut el, LIMIT / 2, || client.connections() == 0);
    assert_eq!((el.sources(), el.timers()), (0, 0));
}

#[test]
fn a_draining_loop_finishes_what_is_under_way() {
    let peer = Peer::start(|_, line| {
        while line.hear().is_some() {
            thread::sleep(2 * SHORT);
            line.say(ok("late"));
        }
    });
    let mut el = EventLoop::new().unwrap();
    let (base, _) = serve(&mut el);
    let client = client();
    get(&mut el, &client, &base.join("/hello/x").unwrap()).unwrap();
    assert_eq!(client.idle(), 1);
    let (_, late) = begin(&mut el, &client, ClientRequest::get(peer.url("/")));
    turn_for(&mut el, SHORT);
    el.drain(LIMIT);
    let (_, refused) = begin(&mut el, &client, ClientRequest::get(peer.url("/")));
    let until = Instant::now() + LIMIT;
    while el.run_once(Duration::from_millis(10)) {
        assert!(Instant::now() < until);
    }
    assert_eq!(late.borrow_mut().pop().unwrap().unwrap().body, "late");
    let error = refused.borrow_mut().pop().unwrap().unwrap_err();
    assert!(matches!(error.cause, ClientCause::Ending), "{error}");
    assert_eq!((client.connections(), client.idle()), (0, 0));
}

#[test]
fn the_end_of_the_loop_is_told_and_leaves_nothing() {
    let peer = Peer::start(|_, line| line.wait());
    let (_socket, _filled, hole) = black_hole();
    let mut el = EventLoop::new().unwrap();
    let client = client();
    let (_, answer) = begin(&mut el, &client, ClientRequest::get(peer.url("/")));
    let listener = Listener::new(|_, _, _| {});
    let alive = Rc::downgrade(&listener._alive);
    client.stream(&mut el, ClientRequest::get(hole), Box::new(listener));
    turn_for(&mut el, SHORT);
    drop(el);
    let error = answer.borrow_mut().pop().unwrap().unwrap_err();
    assert!(error.to_string().contains("event loop ended"), "{error}");
    assert!(alive.upgrade().is_none(), "a request without a connection goes with the loop");
    assert_eq!(Rc::strong_count(&client), 1);
    assert_eq!(client.connections(), 0);
}

#[test]
fn no_way_of_failing_leaves_a_descriptor_or_a_timer() {
    alone("http_client::endings::no_way_of_failing_leaves_a_descriptor_or_a_timer", || {
        let peer = Peer::start(|_, line| {
            let request = line.hear().unwrap_or_default();
            match request.split(' ').nth(1) {
                Some("/half") => line.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"),
                Some("/junk") => line.say("junk"),
                Some("/loop") => line.say("HTTP/1.1 302 Found\r\nLocation: /loop\r\n\r\n"),
                Some("/wait") => line.wait(),
                _ => line.say(ok("fine")),
            }
        });
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let closed: Url = format!("http://{closed}/").parse().unwrap();
        let mut el = EventLoop::new().unwrap();
        let client = client_with(|options| {
            options.total_within = Duration::from_millis(500);
            options.connections_at_most = 50;
        });
        let name = get(&mut el, &client, &"http://no-such-host.invalid/".parse().unwrap());
        assert!(name.is_err());
        let before = open_fds();
        let done = Rc::new(Cell::new(0));
        let mut kept = Vec::new();
        for i in 0..300 {
            let url = match i % 6 {
                0 => peer.url("/"),
                1 => peer.url("/half"),
                2 => peer.url("/junk"),
                3 => peer.url("/loop"),
                4 => peer.url("/wait"),
                _ => closed.clone(),
            };
            let done = Rc::clone(&done);
            let request = ClientRequest::get(url);
            let fetch = client.fetch(&mut el, request, move |_, _| done.set(done.get() + 1));
            if i % 7 == 0 {
                kept.push(fetch);
            }
        }
        turn_for(&mut el, Duration::from_millis(20));
        let cancelled = kept.iter().filter(|fetch| !fetch.is_over()).count();
        kept.drain(..).for_each(|fetch| fetch.cancel(&mut el));
        run_until(&mut el, LIMIT, || done.get() + cancelled == 300);
        client.close_idle(&mut el);
        run_until(&mut el, LIMIT, || client.connections() == 0);
        assert_eq!((client.waiting(), Rc::strong_count(&client)), (0, 1));
        assert_eq!((el.sources(), el.timers()), (0, 0));
        run_until(&mut el, LIMIT, || open_fds() <= before);
    });
}
