//! Servers that break the rules.

use super::*;

#[test]
fn garbage_is_refused_with_the_reason() {
    let long_header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(20_000));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(9);
    for (answer, what) in [
        ("SSH-2.0-OpenSSH_9.6\r\n", "does not begin with HTTP/"),
        ("HTTP/1.1 abc OK\r\n\r\n", "status"),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "bare LF"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "more than once"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "together with",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "digits"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "coding"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk size"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "chunk is longer"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "switches",
        ),
        (&long_header, "larger"),
        (&interim, "interim"),
    ] {
        let peer = Peer::saying(answer.to_owned());
        let mut el = EventLoop::new().unwrap();
        let client = client();
        let error = get(&mut el, &client, &peer.url("/")).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error.cause, ClientCause::Answer(_)), "{answer:.40}: {said}");
        assert!(said.contains(what) && said.contains(&peer.address.to_string()), "{said}");
        run_until(&mut el, LIMIT, || client.connections() == 0);
        assert_eq!(peer.accepted(), 1, "{answer:.40}");
    }
}

#[test]
fn a_server_that_closes_too_early() {
    let close = |line: &mut Line| drop(line.0.shutdown(std::net::Shutdown::Both));
    for (answer, when) in [
        ("", "before the answer"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "within the head"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "within the head"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "within the body"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123456789", "within the body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "within the body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "within the body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "within the body"),
    ] {
        let peer = Peer::start(move |_, line| {
            line.hear();
            line.say(answer);
            close(line);
        });
        let mut el = EventLoop::new().unwrap();
        let client = client();
        let error = get(&mut el, &client, &peer.url("/")).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(when) && said.contains("closed by the peer"), "{said}");
        assert_eq!(error.cause.label(), "closed");
        assert_eq!(peer.accepted(), 1, "a fresh connection is not tried again");
        run_until(&mut el, LIMIT, || client.connections() == 0);
    }
}

#[test]
fn a_reset_within_a_body_until_close_is_no_end_of_it() {
    let peer = Peer::start(|_, line| {
        line.hear();
        line.say("HTTP/1.1 200 OK\r\n\r\nhalf of ");
        thread::sleep(SHORT);
        let socket = socket2::SockRef::from(&line.0);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    });
    let mut el = EventLoop::new().unwrap();
    let error = get(&mut el, &client(), &peer.url("/")).unwrap_err();
    let ClientCause::Closed { when, why } = &error.cause else { panic!("{error}") };
    assert_eq!((*when, why.as_str()), ("within the body of the answer", "reset by the peer"));
}

#[test]
fn bytes_behind_an_answer_end_the_connection() {
    let smuggled = [ok("first"), ok("nobody asked")].concat();
    let peer = Peer::start(move |number, line| {
        while line.hear().is_some() {
            line.say(if number == 1 { smuggled.clone() } else { ok("second") });
        }
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    assert_eq!(get(&mut el, &client, &peer.url("/")).unwrap().body, "first");
    assert_eq!(client.idle(), 0);
    assert_eq!(get(&mut el, &client, &peer.url("/")).unwrap().body, "second");
    assert_eq!(peer.accepted(), 2);
}

#[test]
fn bytes_on_an_idle_connection_end_it() {
    let peer = Peer::start(|_, line| {
        line.hear();
        line.say(ok(""));
        thread::sleep(SHORT);
        line.say(ok("nobody asked"));
        assert!(line.is_closed());
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    get(&mut el, &client, &peer.url("/")).unwrap();
    assert_eq!(client.idle(), 1);
    run_until(&mut el, LIMIT, || client.connections() == 0);
    assert_eq!(client.idle(), 0);
}

#[test]
fn a_body_is_bounded_however_it_is_framed() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (answer, fits) in [
        (ok(&"x".repeat(1000)), true),
        (ok(&"x".repeat(1001)), false),
        // Refused for what it says, before any of it has come.
        ("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n".to_owned(), false),
        (format!("{chunked}3e8\r\n{}\r\n0\r\n\r\n", "x".repeat(1000)), true),
        (format!("{chunked}3e8\r\n{}\r\n1\r\nx", "x".repeat(1000)), false),
        (format!("{chunked}ffffffffffffffff\r\n"), false),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1000)), true),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1001)), false),
    ] {
        let until_close = !answer.contains("Content-Length") && !answer.contains("chunked");
        let peer = if until_close {
            Peer::saying_once(answer.clone())
        } else {
            Peer::saying(answer.clone())
        };
        let mut el = EventLoop::new().unwrap();
        let client = client_with(|options| options.body_at_most = 1000);
        match get(&mut el, &client, &peer.url("/")) {
            Ok(answer) => assert!(fits && answer.body.len() == 1000),
            Err(error) => {
                assert!(!fits && matches!(error.cause, ClientCause::TooLarge(1000)), "{error}");
                run_until(&mut el, LIMIT, || client.connections() == 0);
            }
        }
        let wider = ClientRequest::get(peer.url("/")).body_at_most(2000);
        if fits || answer.ends_with("xxx") && !answer.contains("chunked") {
            assert!(ask(&mut el, &client, wider).is_ok(), "{answer:.60}");
        }
    }
}
