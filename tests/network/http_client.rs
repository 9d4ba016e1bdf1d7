//! The HTTP client against the crate's own server, and against peers that do what no server should.

mod answers;
mod bounds;
mod broken;
mod calling;
mod endings;
mod pool;
mod redirects;
mod streams;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::http::{
    Body, Client, ClientCause, ClientError, ClientOptions, ClientRequest, ClientResponse,
    ClientTimeout, Fetch, Incoming, Method, ResponseHandler, ResponseHead, Server, StatusCode, Url,
};
use network::tls::{TlsClient, TlsServer};
use network::{CloseReason, Connection, EventLoop, Handler, Listen, Reach};

use crate::support::{alone, open_fds, run_until};

const LIMIT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(60);

type Outcome = Result<ClientResponse, ClientError>;

/// A server that follows a script, a thread for each of its connections.
struct Peer {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Peer {
    /// The script gets the number of the connection, from 1.
    fn start(script: impl Fn(usize, &mut Line) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, stopped) = (Arc::clone(&accepted), Arc::clone(&stop));
        let script = Arc::new(script);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let script = Arc::clone(&script);
                thread::spawn(move || script(number, &mut Line::new(stream)));
            }
        });
        Self { address, accepted, stop }
    }

    /// Answers every request on every connection with these bytes.
    fn saying(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |_, line| {
            while line.hear().is_some() {
                line.say(&answer);
            }
        })
    }

    /// Answers one request on each connection with these bytes and closes it.
    fn saying_once(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |_, line| {
            line.hear();
            line.say(&answer);
        })
    }

    fn url(&self, target: &str) -> Url {
        format!("http://{}{target}", self.address).parse().unwrap()
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// One connection of a [`Peer`].
struct Line(TcpStream);

impl Line {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// The next request with its body; `None` where the client has closed.
    fn hear(&mut self) -> Option<String> {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => text.push(byte[0]),
                _ => return None,
            }
        }
        let head = String::from_utf8(text.clone()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        text.extend_from_slice(&body);
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may have had enough.
        let _ = self.0.write_all(bytes.as_ref());
    }

    fn drip(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.say([*byte]);
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Holds the connection open until the client closes.
    fn wait(&mut self) {
        let _ = self.is_closed();
    }

    /// True once the client has closed.
    fn is_closed(&mut self) -> bool {
        let mut rest = [0; 1024];
        loop {
            match self.0.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The crate's own server on the same loop, and how many connections it has accepted.
fn serve(el: &mut EventLoop) -> (Url, Rc<Cell<usize>>) {
    let server = Server::builder()
        .body_at_most(16 << 20)
        .route(Method::Get, "/hello/{name}", |request, reply, _| {
            reply.text(&request.param("name").unwrap().unwrap())
        })
        .unwrap()
        .route(Method::Post, "/echo", |request, reply, _| {
            reply.send(StatusCode::OK, "application/octet-stream", request.body())
        })
        .unwrap()
        .route(Method::Get, "/large", |_, reply, _| {
            let body = Body::Shared(Bytes::from(vec![b'x'; 5 << 20]));
            reply.respond(StatusCode::OK, |_| Ok(()), body)
        })
        .unwrap()
        .build();
    listen(el, move |_| server.handler(), None)
}

fn listen(
    el: &mut EventLoop,
    make: impl Fn(&mut EventLoop) -> Box<dyn Handler> + 'static,
    tls: Option<TlsServer>,
) -> (Url, Rc<Cell<usize>>) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut listen = Listen::on(([127, 0, 0, 1], 0).into());
    if let Some(tls) = tls {
        listen = listen.tls(tls);
    }
    let bound = listen.bind().unwrap();
    let url = format!("{scheme}://{}/", bound.address().unwrap()).parse().unwrap();
    let accepted = Rc::new(Cell::new(0));
    let count = Rc::clone(&accepted);
    el.accept_on(bound, move |el, _| {
        count.set(count.get() + 1);
        Some(make(el))
    })
    .unwrap();
    (url, accepted)
}

fn client() -> Rc<Client> {
    Client::new(ClientOptions::default())
}

fn client_with(change: impl FnOnce(&mut ClientOptions)) -> Rc<Client> {
    let mut options = ClientOptions::default();
    change(&mut options);
    Client::new(options)
}

/// Starts a request; its outcome comes to the list.
fn begin(
    el: &mut EventLoop,
    client: &Rc<Client>,
    request: ClientRequest,
) -> (Fetch, Rc<RefCell<Vec<Outcome>>>) {
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let to = Rc::clone(&outcomes);
    let fetch = client.fetch(el, request, move |_, outcome| to.borrow_mut().push(outcome));
    (fetch, outcomes)
}

#[track_caller]
fn ask(el: &mut EventLoop, client: &Rc<Client>, request: ClientRequest) -> Outcome {
    let (fetch, outcomes) = begin(el, client, request);
    run_until(el, LIMIT, || !outcomes.borrow().is_empty());
    assert!(fetch.is_over());
    let outcome = outcomes.borrow_mut().pop();
    outcome.unwrap()
}

#[track_caller]
fn get(el: &mut EventLoop, client: &Rc<Client>, url: &Url) -> Outcome {
    ask(el, client, ClientRequest::get(url.clone()))
}

#[track_caller]
fn cause(el: &mut EventLoop, client: &Rc<Client>, url: &Url) -> ClientCause {
    get(el, client, url).unwrap_err().cause
}

/// Lets the loop run for a while.
fn turn_for(el: &mut EventLoop, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        el.run_once(Duration::from_millis(5));
    }
}

/// What a streamed answer said, in order.
#[derive(Default)]
struct Heard {
    head: Option<StatusCode>,
    data: Vec<u8>,
    pieces: usize,
    ends: Vec<Result<(), ClientError>>,
}

type During = Box<dyn FnMut(&mut Incoming<'_>, &mut EventLoop, usize)>;

/// Writes down a streamed answer; `during` runs with each piece, and with 0 at the head.
struct Listener {
    heard: Rc<RefCell<Heard>>,
    during: During,
    takes: Option<Box<dyn Handler>>,
    /// Its count tells that the value is gone.
    _alive: Rc<()>,
}

impl Listener {
    fn new(during: impl FnMut(&mut Incoming<'_>, &mut EventLoop, usize) + 'static) -> Self {
        let during = Box::new(during);
        Self { heard: Rc::default(), during, takes: None, _alive: Rc::new(()) }
    }
}

impl ResponseHandler for Listener {
    fn head(
        &mut self,
        from: &mut Incoming<'_>,
        el: &mut EventLoop,
        head: &ResponseHead<'_>,
    ) -> Option<Box<dyn Handler>> {
        self.heard.borrow_mut().head = Some(head.status);
        (self.during)(from, el, 0);
        self.takes.take()
    }

    fn data(&mut self, from: &mut Incoming<'_>, el: &mut EventLoop, data: &[u8]) {
        assert!(!data.is_empty());
        let pieces = {
            let mut heard = self.heard.borrow_mut();
            heard.data.extend_from_slice(data);
            heard.pieces += 1;
            heard.pieces
        };
        (self.during)(from, el, pieces);
    }

    fn end(self: Box<Self>, _: &mut EventLoop, outcome: Result<(), ClientError>) {
        self.heard.borrow_mut().ends.push(outcome);
    }
}

/// An address that takes connections into its queue until that is full, and then answers nobody.
fn black_hole() -> (socket2::Socket, Vec<TcpStream>, Url) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let fill = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    let filled: Vec<_> = std::iter::from_fn(fill).take(16).collect();
    assert!(filled.len() < 16, "the queue is full at some point");
    (socket, filled, format!("http://{address}/").parse().unwrap())
}
