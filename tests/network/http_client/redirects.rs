//! Redirects: followed, counted, refused.

use super::*;

#[test]
fn redirects_are_followed_and_counted() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&heard);
    let peer = Peer::start(move |_, line| {
        while let Some(request) = line.hear() {
            let mut words = request.split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let body = request.split("\r\n\r\n").nth(1).unwrap();
            let of_body = request.contains("Content-Type");
            to.lock().unwrap().push(format!("{method} {path} {body} {of_body}"));
            let (status, place) = match path.split_once("/to/") {
                Some(("", status)) => (status, "../end?x#y"),
                _ if path == "/a/b?q" => ("302", "c/../d"),
                _ if path == "/a/d" => ("301", "/to/307"),
                _ => {
                    line.say(ok("end"));
                    continue;
                }
            };
            line.say(format!(
                "HTTP/1.1 {status} Moved\r\nLocation: {place}\r\nContent-Length: 4\r\n\r\nhere"
            ));
        }
    });
    let mut el = EventLoop::new().unwrap();
    let client = client();
    let answer = get(&mut el, &client, &peer.url("/a/b?q")).unwrap();
    assert_eq!((answer.redirects, &answer.body[..]), (3, &b"end"[..]));
    assert_eq!(answer.url, peer.url("/end?x"));
    heard.lock().unwrap().clear();
    for (status, method, kept) in [
        (301, Method::Post, false),
        (302, Method::Put, false),
        (303, Method::Post, false),
        (307, Method::Post, true),
        (308, Method::Put, true),
        (300, Method::Post, true),
    ] {
        let url = peer.url(&format!("/to/{status}"));
        let request = ClientRequest::new(method, url).header("Content-Type", "x/y").body("body");
        let answer = ask(&mut el, &client, request).unwrap();
        let mut heard = heard.lock().unwrap();
        assert_eq!(heard[0], format!("{method} /to/{status} body true"));
        if status == 300 {
            assert_eq!((answer.status.as_u16(), answer.redirects), (300, 0));
            break;
        }
        let then =
            if kept { format!("{method} /end?x body true") } else { "GET /end?x  false".into() };
        assert_eq!(heard[1], then, "{status}");
        heard.clear();
    }
    assert_eq!(peer.accepted(), 1, "the bodies of redirects are read, so the connection is kept");
}

#[test]
fn a_loop_of_redirects_ends() {
    let peer = Peer::saying("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n");
    let mut el = EventLoop::new().unwrap();
    let error = get(&mut el, &client(), &peer.url("/")).unwrap_err();
    assert!(matches!(error.cause, ClientCause::TooManyRedirects(5)), "{error}");
    assert_eq!(error.redirects, 5);
    assert!(error.to_string().contains("/again"), "{error}");

    let client = client_with(|options| options.redirects = 0);
    let answer = get(&mut el, &client, &peer.url("/")).unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (StatusCode::FOUND, Some(&b"/again"[..]))
    );
}

#[test]
fn redirects_that_are_not_followed() {
    for (place, what) in [
        ("http://user:secret@127.0.0.1/", "user name"),
        ("ftp://127.0.0.1/", "http://"),
        ("javascript:alert(1)", "http://"),
        ("//127.1/", "ends in a number"),
        ("/a b", "percent-encoded"),
        ("/caf\u{e9}", "percent-encoded"),
        ("/x\r\nLocation: /y", "two places"),
    ] {
        let head = format!("HTTP/1.1 301 Moved\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
        let peer = Peer::saying(head);
        let mut el = EventLoop::new().unwrap();
        let error = get(&mut el, &client(), &peer.url("/")).unwrap_err().to_string();
        assert!(error.contains(what) && !error.contains("secret"), "{error}");
        assert_eq!(peer.accepted(), 1);
    }
    let peer = Peer::saying("HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n");
    let answer = get(&mut EventLoop::new().unwrap(), &client(), &peer.url("/")).unwrap();
    assert_eq!(answer.status, StatusCode::MOVED_PERMANENTLY, "it leads nowhere");
}

#[test]
fn secrets_stay_with_the_server_they_are_for() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&heard);
    let other = Peer::start(move |_, line| {
        to.lock().unwrap().push(line.hear().unwrap());
        line.say(ok(""));
    });
    let to = Arc::clone(&heard);
    let place = other.url("/there");
    let peer = Peer::start(move |_, line| {
        while let Some(request) = line.hear() {
            let place = if request.starts_with("GET /1") { "/2" } else { place.as_str() };
            to.lock().unwrap().push(request);
            let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation";
            line.say(format!("{head}: {place}\r\n\r\n"));
        }
    });
    let mut el = EventLoop::new().unwrap();
    let request = ClientRequest::get(peer.url("/1"))
        .header("authorization", "a")
        .header("Cookie", "b")
        .header("X-Other", "c");
    ask(&mut el, &client(), request).unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 3);
    for (request, has) in heard.iter().zip([true, true, false]) {
        assert_eq!(request.contains("authorization: a"), has);
        assert_eq!(request.contains("Cookie: b"), has);
        assert!(request.contains("X-Other: c"));
    }
}

#[test]
fn the_body_of_a_redirect_is_skipped_within_bounds() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned();
    let long = format!("Content-Length: 70000\r\n\r\n{}", "x".repeat(70_000));
    let broken = "Transfer-Encoding: chunked\r\n\r\nzzz".to_owned();
    let cut = "Content-Length: 70\r\n\r\nx".to_owned();
    for (rest, accepts, closes) in [
        (chunked, 1, false),
        (long, 2, false),
        ("\r\nuntil the end, which is far".to_owned(), 2, false),
        (broken, 2, false),
        (cut, 2, true),
    ] {
        let head = "HTTP/1.1 302 Found\r\nLocation: /end\r\n";
        let peer = Peer::start(move |_, line| {
            while let Some(request) = line.hear() {
                if request.starts_with("GET /end") {
                    line.say(ok("end"));
                    continue;
                }
                line.say([head, &rest].concat());
                if closes {
                    return;
                }
            }
        });
        let mut el = EventLoop::new().unwrap();
        assert_eq!(get(&mut el, &client(), &peer.url("/")).unwrap().body, "end");
        assert_eq!(peer.accepted(), accepts);
    }
}
