//! The HTTP server against clients that are right, wrong, slow and hostile.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::http::{Body, BodyWriter, Held, Method, ResponseWriter, Server, StatusCode};
use network::{Connection, EventLoop, Handler, Listen, Ready, Source, SourceId, Threads};

const LIMIT: Duration = Duration::from_secs(10);

/// Sends three pieces, one a turn, and ends the body.
struct ThreePieces(Option<BodyWriter>, u8);

impl Handler for ThreePieces {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        conn.start_timer(el, Duration::from_millis(1), 0);
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        self.1 += 1;
        let Some(body) = &self.0 else { return };
        if self.1 <= 3 {
            body.send_shared(conn, Bytes::from(format!("piece {};", self.1)));
            conn.start_timer(el, Duration::from_millis(1), 0);
        } else if let Some(body) = self.0.take() {
            body.end(conn);
        }
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, _: &[u8]) -> usize {
        0
    }
}

fn server() -> Rc<Server> {
    let held: Rc<RefCell<Vec<Held>>> = Rc::default();
    let (waiting, composed) = (Rc::clone(&held), Rc::clone(&held));
    Server::builder()
        .head_within(Duration::from_millis(200))
        .body_within(Duration::from_millis(200))
        .held_at_most(Duration::from_millis(200))
        .keep_alive(Duration::from_millis(1500))
        .body_at_most(100)
        .route(Method::Get, "/", |_, reply, _| reply.text("root"))
        .unwrap()
        .route(Method::Get, "/a/{name}", |request, reply, _| match request.param("name") {
            Ok(name) => reply.text(&name.unwrap_or_default()),
            Err(error) => reply.fail(error.into()),
        })
        .unwrap()
        .route(Method::Post, "/echo", |request, reply, _| {
            reply.send(StatusCode::OK, "text/plain", request.body())
        })
        .unwrap()
        .route(Method::Get, "/big", |_, reply, _| {
            let body = Bytes::from(vec![b'x'; 1 << 20]);
            reply.respond(StatusCode::OK, |_| Ok(()), Body::Shared(body))
        })
        .unwrap()
        .route(Method::Get, "/hold", move |_, reply, _| {
            let (answered, held) = reply.hold();
            waiting.borrow_mut().push(held);
            answered
        })
        .unwrap()
        .route(Method::Get, "/composed", |_, reply, _| {
            let headers = |head: &mut ResponseWriter<'_>| head.header("X", "y").map(drop);
            match reply.compose(StatusCode::OK, headers, b"composed") {
                Ok(answer) => reply.send_composed(&answer),
                Err(error) => reply.text(&error.to_string()),
            }
        })
        .unwrap()
        .route(Method::Post, "/release-all", move |_, reply, el| {
            let mut waiting = composed.borrow_mut();
            if waiting.len() < 4 {
                return reply.text("0");
            }
            let (all, mut made, mut times) = (std::mem::take(&mut *waiting), None, 0);
            for held in all {
                held.reply(el, |reply| {
                    if !made.as_ref().is_some_and(|made| reply.fits(made)) {
                        made = reply.compose(StatusCode::OK, |_| Ok(()), b"released").ok();
                        times += 1;
                    }
                    match &made {
                        Some(made) => reply.send_composed(made),
                        None => reply.text("?"),
                    }
                });
            }
            reply.text(&times.to_string())
        })
        .unwrap()
        .route(Method::Post, "/release", move |_, reply, el| {
            let all = std::mem::take(&mut *held.borrow_mut());
            let told = all.into_iter().fold(0, |told, held| {
                told + usize::from(held.reply(el, |reply| reply.text("released")))
            });
            reply.text(&told.to_string())
        })
        .unwrap()
        .route(Method::Get, "/stream", |_, reply, _| {
            reply.stream(
                StatusCode::OK,
                |head| head.header("Content-Type", "text/plain").map(drop),
                |body| Box::new(ThreePieces(Some(body), 0)),
            )
        })
        .unwrap()
        .route(Method::Get, "/inject", |request, reply, _| {
            let value = request.query("value").unwrap().unwrap_or_default().into_owned();
            reply.respond(
                StatusCode::OK,
                |head| head.header("X-Value", value.as_bytes()).map(drop),
                Body::Empty,
            )
        })
        .unwrap()
        .build()
}

struct Running {
    threads: Option<Threads>,
    address: SocketAddr,
}

fn start() -> Running {
    let (tell, hear) = channel();
    let threads = Threads::start(vec![tell], None, |el, _, tell| {
        let bound = Listen::on(([127, 0, 0, 1], 0).into()).bind()?;
        tell.send(bound.address().unwrap())?;
        let server = server();
        el.accept_on(bound, move |_, _| Some(server.handler()))?;
        Ok(())
    })
    .unwrap();
    Running { threads: Some(threads), address: hear.recv().unwrap() }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.stop();
            threads.join();
        }
    }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Everything the server says to these bytes until it closes.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that has refused may have closed before all of it was sent.
        let _ = stream.write_all(bytes);
        read_all(&mut stream)
    }

    /// The same for one request after which the server is asked to close.
    fn ask(&self, line: &str, more: &str) -> String {
        self.say(format!("{line}\r\nHost: h\r\nConnection: close\r\n{more}\r\n").as_bytes())
    }
}

fn read_all(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn wrong_requests_get_the_right_status_and_end_that_connection_alone() {
    let server = start();
    let long = |n: usize| "x".repeat(n);
    let host = "Host: h\r\n";
    let mut witness = server.connect();
    for (expected, bytes) in [
        ("400", "GET / HTTP/1.1\n\n".to_owned()),
        ("400", "GET / HTTP/1.1\r\nHost: h\n\r\n".into()),
        ("400", "GET / HTTP/1.1\r\n\r\n".into()),
        ("400", format!("GET / HTTP/1.1\r\n{host}{host}\r\n")),
        ("400", format!("GET / HTTP/1.1\r\n{host}A : b\r\n\r\n")),
        ("400", format!("GET / HTTP/1.1\r\n{host}A: b\r\n c\r\n\r\n")),
        (
            "400",
            format!(
                "POST /echo HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"
            ),
        ),
        (
            "400",
            format!(
                "POST /echo HTTP/1.1\r\n{host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "400",
            format!(
                "POST /echo HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        ("400", format!("POST /echo HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n")),
        ("400", format!("POST /echo HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\n")),
        ("400", "\u{16}\u{3}\u{1}\u{2}".into()),
        ("404", format!("GET /nothing HTTP/1.1\r\n{host}Connection: close\r\n\r\n")),
        ("404", format!("POST /nothing HTTP/1.1\r\n{host}Content-Length: 5\r\n\r\n12345")),
        ("405", format!("PUT /echo HTTP/1.1\r\n{host}Connection: close\r\n\r\n")),
        ("413", format!("POST /echo HTTP/1.1\r\n{host}Content-Length: 101\r\n\r\n")),
        ("413", format!("POST /echo HTTP/1.1\r\n{host}Content-Length: 101\r\n\r\n{}", long(101))),
        (
            "413",
            format!(
                "POST /echo HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n65\r\n{}\r\n",
                long(101)
            ),
        ),
        ("414", format!("GET /{} HTTP/1.1\r\n{host}\r\n", long(9_000))),
        (
            "417",
            format!("POST /echo HTTP/1.1\r\n{host}Expect: wonders\r\nContent-Length: 1\r\n\r\na"),
        ),
        ("431", format!("GET / HTTP/1.1\r\n{host}A: {}\r\n\r\n", long(20_000))),
        ("431", format!("GET / HTTP/1.1\r\n{host}{}\r\n", "A: b\r\n".repeat(200))),
        ("501", format!("BREW / HTTP/1.1\r\n{host}\r\n")),
        ("501", format!("POST /echo HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n")),
        ("505", format!("GET / HTTP/3.0\r\n{host}\r\n")),
    ] {
        let answer = server.say(bytes.as_bytes());
        let shown = &bytes[..bytes.len().min(80)];
        assert_eq!(status(&answer), expected, "{shown:?} got {answer:?}");
        assert_eq!(answer.matches("\r\nDate: ").count(), 1, "{shown:?} got {answer:?}");
    }
    witness.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(body(&read_all(&mut witness)), "root");
}

#[test]
fn answers_to_pipelined_requests_come_in_order_and_survive_any_cut() {
    let server = start();
    let mut asked = String::new();
    for i in 0..50 {
        asked += &format!("GET /a/n{i} HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    asked += "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    asked += "GET /a/last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let whole = server.say(asked.as_bytes());
    let bodies: Vec<&str> = whole
        .split("HTTP/1.1 200 OK\r\n")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap().1)
        .collect();
    let mut expected: Vec<String> = (0..50).map(|i| format!("n{i}")).collect();
    expected.extend(["abcde".to_owned(), "last".into()]);
    assert_eq!(bodies, expected);

    let mut bytewise = server.connect();
    for byte in asked.as_bytes() {
        bytewise.write_all(&[*byte]).unwrap();
    }
    let strip = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("Date:"));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(strip(&read_all(&mut bytewise)), strip(&whole));
}

#[test]
fn head_has_the_headers_and_no_body_and_options_lists() {
    let server = start();
    let get = server.ask("GET / HTTP/1.1", "");
    let head = server.ask("HEAD / HTTP/1.1", "");
    assert_eq!(body(&head), "");
    assert!(get.contains("Content-Length: 4") && head.contains("Content-Length: 4"), "{head}");
    assert!(server.ask("HEAD /stream HTTP/1.1", "").contains("Transfer-Encoding: chunked"));
    let options = server.ask("OPTIONS / HTTP/1.1", "");
    assert!(
        status(&options) == "204" && options.contains("Allow: GET, HEAD, OPTIONS"),
        "{options}"
    );
}

#[test]
fn a_body_is_asked_for_only_where_it_is_wanted() {
    let server = start();
    let mut stream = server.connect();
    let expect = "Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("POST /echo HTTP/1.1\r\nHost: h\r\n{expect}").as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    assert_eq!(body(&read_all(&mut stream)), "hello");
    let refused = server.say(format!("POST /no HTTP/1.1\r\nHost: h\r\n{expect}").as_bytes());
    assert_eq!(status(&refused), "404");
}

#[test]
fn slow_clients_are_left_in_time() {
    let server = start();
    let mut dripping = server.connect();
    let head = b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ";
    dripping.write_all(head).unwrap();
    // A byte now and then is no progress: the bound is on the whole head.
    let mut writer = dripping.try_clone().unwrap();
    let drip = std::thread::spawn(move || while writer.write_all(b"x").is_ok() {});
    let answer = read_all(&mut dripping);
    assert!(["408", "431"].contains(&status(&answer)), "{answer}");
    drop(dripping);
    drip.join().unwrap();

    let mut stuck = server.connect();
    stuck.write_all(head).unwrap();
    assert_eq!(status(&read_all(&mut stuck)), "408");
    let mut half = server.connect();
    half.write_all(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab").unwrap();
    assert_eq!(status(&read_all(&mut half)), "408");
    // Who says nothing between two requests is left without a word.
    let mut silent = server.connect();
    silent.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(read_all(&mut silent).matches("HTTP/1.1").count(), 1);
}

#[test]
fn who_asks_faster_than_it_takes_holds_up_itself_and_gets_everything() {
    let server = start();
    let mut greedy = server.connect();
    let count = 40;
    for _ in 0..count {
        greedy.write_all(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    assert_eq!(body(&server.ask("GET / HTTP/1.1", "")), "root", "others are served meanwhile");
    greedy.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    greedy.read_to_end(&mut all).unwrap();
    assert_eq!(all.iter().filter(|byte| **byte == b'x').count(), count << 20);
}

#[test]
fn a_held_reply_is_answered_later_and_the_requests_behind_it_wait() {
    let server = start();
    let mut waiting = server.connect();
    waiting
        .write_all(
            b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let mut told = String::new();
    // The request may not have arrived when it is first released.
    while told != "1" {
        told = body(&server.ask("POST /release HTTP/1.1", "")).to_owned();
    }
    let answers = read_all(&mut waiting);
    let (first, second) = (answers.find("released").unwrap(), answers.find("root").unwrap());
    assert!(first < second);
    // Nobody releases this one.
    assert_eq!(status(&server.say(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")), "503");
    // And this one's client goes away, which its holder finds out.
    let mut gone = server.connect();
    gone.write_all(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    drop(gone);
    assert_eq!(body(&server.ask("POST /release HTTP/1.1", "")).len(), 1);
}

#[test]
fn an_answer_composed_once_goes_to_all_it_fits() {
    let server = start();
    let ask = |head: &str| {
        let mut client = server.connect();
        client.write_all(head.as_bytes()).unwrap();
        client
    };
    let mut alike: Vec<_> = (0..3).map(|_| ask("GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    let mut last = ask("GET /hold HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let mut times = 0;
    while times == 0 {
        times = body(&server.ask("POST /release-all HTTP/1.1", "")).parse().unwrap();
    }
    assert!(
        (2..=3).contains(&times),
        "{times}: the one that closes differs, and seconds may change"
    );
    for client in &mut alike {
        client.shutdown(Shutdown::Write).unwrap();
        let answer = read_all(client);
        assert_eq!((status(&answer), body(&answer)), ("200", "released"));
        assert!(!answer.contains("close"), "{answer}");
    }
    let answer = read_all(&mut last);
    assert!(answer.contains("Connection: close") && answer.ends_with("released"), "{answer}");
    let answers = server.say(
        b"GET /composed HTTP/1.1\r\nHost: h\r\n\r\nHEAD /composed HTTP/1.1\r\nHost: h\r\n\r\n\
          GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answers.matches("Content-Length: 8\r\n").count(), 2, "{answers}");
    assert_eq!(answers.matches("X: y\r\n").count(), 2, "{answers}");
    assert_eq!(answers.matches("composed").count(), 1, "a HEAD has none: {answers}");
}

#[test]
fn a_streamed_answer_is_chunked_and_the_connection_goes_on() {
    let server = start();
    let answers = server.say(
        b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    let chunks = "8\r\npiece 1;\r\n8\r\npiece 2;\r\n8\r\npiece 3;\r\n0\r\n\r\nHTTP/1.1 200 OK";
    assert!(answers.contains(chunks) && answers.ends_with("root"), "{answers}");
    // A client of HTTP/1.0 gets the pieces and then the end.
    let old = server.say(b"GET /stream HTTP/1.0\r\n\r\n");
    assert_eq!(body(&old), "piece 1;piece 2;piece 3;");
}

#[test]
fn a_client_cannot_write_headers() {
    let server = start();
    let answer = server.ask("GET /inject?value=a%0d%0aSet-Cookie:%20b HTTP/1.1", "");
    assert_eq!(status(&answer), "500");
    assert!(!answer.contains("Set-Cookie"), "{answer}");
    for path in ["/a/..%2fetc", "/a/%2e%2e", "/a/x%00y", "/a/%ff"] {
        let answer = server.ask(&format!("GET {path} HTTP/1.1"), "");
        assert_eq!(status(&answer), "400", "{path}");
    }
}

#[test]
fn who_comes_while_the_loop_drains_is_answered_and_not_waited_for() {
    struct Stays;
    impl Source for Stays {
        fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}
        fn drain(&mut self, _: &mut EventLoop, _: SourceId) {}
    }
    let (tell, hear) = channel();
    let threads = Threads::start(vec![tell], None, |el, _, tell| {
        let listen = Listen::on(([127, 0, 0, 1], 0).into());
        let (open, closes) = (listen.clone().while_draining().bind()?, listen.bind()?);
        let addresses = [open.address().unwrap(), closes.address().unwrap()];
        tell.send((addresses, el.add_plain(Box::new(Stays))))?;
        let server = server();
        for bound in [open, closes] {
            let server = Rc::clone(&server);
            el.accept_on(bound, move |_, _| Some(server.handler()))?;
        }
        Ok(())
    })
    .unwrap();
    let ([open, closes], stays) = hear.recv().unwrap();
    threads.drain(6 * LIMIT);
    let until = Instant::now() + LIMIT;
    while TcpStream::connect(closes).is_ok() {
        assert!(Instant::now() < until, "it does not drain");
    }
    let mut late = TcpStream::connect(open).unwrap();
    late.set_read_timeout(Some(LIMIT)).unwrap();
    late.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("root"), "{answer}");
    // Neither it nor one that says nothing holds up the end.
    let _silent = TcpStream::connect(open).unwrap();
    threads.handles()[0].post(move |el| assert!(el.remove(stays))).unwrap();
    let began = Instant::now();
    threads.join();
    assert!(began.elapsed() < LIMIT);
}
