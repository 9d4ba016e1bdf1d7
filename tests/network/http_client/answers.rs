//! What comes back, and what is sent.

use super::*;

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let mut el = EventLoop::new().unwrap();
    let (base, accepted) = serve(&mut el);
    let client = client();
    for i in 0..20 {
        let url = base.join(&format!("/hello/{i}")).unwrap();
        let answer = get(&mut el, &client, &url).unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, i.to_string().as_bytes()));
        assert_eq!(answer.header("content-TYPE"), Some(&b"text/plain; charset=utf-8"[..]));
        assert_eq!(answer.header("nothing"), None);
        assert_eq!(answer.headers().count(), 3);
    }
    let missing = get(&mut el, &client, &base.join("/nothing").unwrap()).unwrap();
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(accepted.get(), 1);
    assert_eq!((client.connections(), client.idle()), (1, 1));
    client.close_idle(&mut el);
    run_until(&mut el, LIMIT, || client.connections() == 0);
    assert_eq!((client.idle(), Rc::strong_count(&client)), (0, 1));
}

#[test]
fn a_request_from_within_an_answer_uses_the_same_connection() {
    let mut el = EventLoop::new().unwrap();
    let (base, accepted) = serve(&mut el);
    let client = client();
    let left = Rc::new(Cell::new(10));
    fn next(el: &mut EventLoop, client: Rc<Client>, base: Url, left: Rc<Cell<usize>>) {
        let again = Rc::clone(&client);
        let request = ClientRequest::get(base.join("/hello/x").unwrap());
        client.fetch(el, request, move |el, outcome| {
            outcome.unwrap();
            left.set(left.get() - 1);
            if left.get() > 0 {
                next(el, again, base, left);
            }
        });
    }
    next(&mut el, client, base, Rc::clone(&left));
    run_until(&mut el, LIMIT, || left.get() == 0);
    assert_eq!(accepted.get(), 1);
}

#[test]
fn a_hundred_requests_at_once() {
    for (most, idle) in [(7, 7), (128, 8)] {
        let mut el = EventLoop::new().unwrap();
        let (base, accepted) = serve(&mut el);
        let client = client_with(|options| options.connections_at_most = most);
        let done = Rc::new(Cell::new(0));
        for i in 0..100 {
            let url = base.join(&format!("/hello/{i}")).unwrap();
            let done = Rc::clone(&done);
            client.fetch(&mut el, ClientRequest::get(url), move |_, outcome| {
                assert_eq!(outcome.unwrap().body, i.to_string());
                done.set(done.get() + 1);
            });
        }
        run_until(&mut el, LIMIT, || done.get() == 100);
        assert_eq!(accepted.get(), most.min(100));
        run_until(&mut el, LIMIT, || client.connections() == idle);
        assert_eq!((client.idle(), client.waiting()), (idle, 0));
    }
}

#[test]
fn bodies_come_back_whole_both_ways() {
    let mut el = EventLoop::new().unwrap();
    let (base, accepted) = serve(&mut el);
    let client = client();
    let echo = base.join("/echo").unwrap();
    for len in [0, 1, 65_536, 3 << 20] {
        let body: Bytes = (0..len).map(|i| ((i * 7) >> 3) as u8).collect();
        let request = ClientRequest::post(echo.clone(), "x/y", body.clone());
        assert!(ask(&mut el, &client, request).unwrap().body == body, "{len}");
    }
    assert_eq!(accepted.get(), 1);
}

#[test]
fn every_framing_however_it_is_cut() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;ext=1\r\nhello\r\n7\r\n, world\r\n0\r\nTrailer: x\r\n\r\n";
    let old = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 12\r\n\r\nhello, world";
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    for (answer, kept) in [
        (ok("hello, world"), true),
        (chunked.to_owned(), true),
        (old.to_owned(), true),
        ([hints, chunked].concat(), true),
        (ok("hello, world").replace("OK", "OK\r\nConnection: close"), false),
        (ok("hello, world").replace("1.1", "1.0"), false),
    ] {
        let text = answer.clone();
        let peer = Peer::start(move |_, line| {
            line.hear();
            line.drip(text.as_bytes());
            line.hear();
            line.say(&text);
            line.is_closed();
        });
        let mut el = EventLoop::new().unwrap();
        let client = client();
        for _ in 0..2 {
            let answer = get(&mut el, &client, &peer.url("/")).unwrap();
            assert_eq!(answer.body, "hello, world");
        }
        assert_eq!(peer.accepted(), if kept { 1 } else { 2 }, "{answer}");
        assert_eq!(client.idle(), usize::from(kept));
    }
}

#[test]
fn a_body_until_the_end_of_the_connection() {
    let peer = Peer::saying_once("HTTP/1.1 200 OK\r\n\r\nall there is");
    let mut el = EventLoop::new().unwrap();
    let client = client();
    for n in 1..3 {
        assert_eq!(get(&mut el, &client, &peer.url("/")).unwrap().body, "all there is");
        assert_eq!((peer.accepted(), client.idle()), (n, 0));
    }
    run_until(&mut el, LIMIT, || client.connections() == 0);
}

#[test]
fn answers_without_a_body_keep_the_connection() {
    let peer = Peer::start(|_, line| {
        while let Some(request) = line.hear() {
            line.say(match request.split(' ').nth(1) {
                Some("/head") => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
                Some("/204") => "HTTP/1.1 204 No Content\r\n\r\n",
                Some("/304") => "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            });
        }
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    let head = ClientRequest::new(Method::Head, peer.url("/head"));
    let answer = ask(&mut el, &client, head).unwrap();
    assert_eq!(answer.header("content-length"), Some(&b"1000"[..]));
    assert!(answer.body.is_empty());
    for (path, status) in [("/204", 204), ("/304", 304), ("/", 200)] {
        let answer = get(&mut el, &client, &peer.url(path)).unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0));
    }
    assert_eq!(peer.accepted(), 1);
}

#[test]
fn a_request_on_the_wire() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&heard);
    let peer = Peer::start(move |_, line| {
        while let Some(request) = line.hear() {
            to.lock().unwrap().push(request);
            line.say(ok(""));
        }
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    let url = peer.url("/a%20b/?c=d&e#fragment");
    ask(&mut el, &client, ClientRequest::get(url.clone()).header("Accept", "*/*")).unwrap();
    ask(&mut el, &client, ClientRequest::post(url, "text/plain", "body")).unwrap();
    let host = peer.address;
    let heard = heard.lock().unwrap();
    assert_eq!(
        heard[..],
        [
            format!("GET /a%20b/?c=d&e HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"),
            format!(
                "POST /a%20b/?c=d&e HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n\
                Content-Length: 4\r\n\r\nbody"
            ),
        ]
    );
}

#[test]
fn a_request_that_cannot_be_written_is_refused_before_anybody_is_called() {
    let peer = Peer::saying(ok(""));
    let mut el = EventLoop::new().unwrap();
    let client = client();
    let request = || ClientRequest::get(peer.url("/?key=secret"));
    for (request, label, text) in [
        (request().header("X", "a\r\nY: b"), "request", "header value"),
        (request().header("Host", "x"), "request", "Host are set by the writer"),
        (request().header("content-length", "1"), "request", "Content-Length"),
        (ClientRequest::new(Method::Connect, peer.url("/")), "request", "tunnels"),
        (ClientRequest::get("https://127.0.0.1/".parse().unwrap()), "no_tls", "no TLS"),
    ] {
        let (_, outcomes) = begin(&mut el, &client, request);
        assert!(outcomes.borrow().is_empty(), "not before the call returns");
        run_until(&mut el, LIMIT, || !outcomes.borrow().is_empty());
        let error = outcomes.borrow_mut().pop().unwrap().unwrap_err();
        assert_eq!(error.cause.label(), label);
        let said = error.to_string();
        assert!(said.contains(text) && said.contains("caller at fault"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    assert_eq!((peer.accepted(), client.connections()), (0, 0));
}
