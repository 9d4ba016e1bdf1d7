//! TLS: between this crate's own ends, and with OpenSSL's.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::tls::{TlsClient, TlsServer};
use network::{
    CloseReason, Connect, Connection, EventLoop, FileRange, Handler, Listen, Options, SourceId,
};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};

use crate::support::{Scratch, run_until};

const LIMIT: Duration = Duration::from_secs(5);

// ---- certificates ----

/// Somebody who signs certificates, and the file that makes a client trust it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    roots: Scratch,
}

/// A certificate and its key, as files.
struct Files {
    certificate: Scratch,
    key: Scratch,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let roots = Scratch::new("roots.pem");
        fs::write(roots.path(), issuer.pem()).unwrap();
        Self { issuer, roots }
    }

    fn signs(&self, name: &str) -> Files {
        self.signs_with(name, |_| {})
    }

    fn signs_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Files {
        let files =
            Files { certificate: Scratch::new("certificate.pem"), key: Scratch::new("key.pem") };
        self.signs_into(&files, name, change);
        files
    }

    /// As whoever renews certificates does: in place.
    fn signs_into(&self, files: &Files, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(files.certificate.path(), certificate.pem()).unwrap();
        fs::write(files.key.path(), key.serialize_pem()).unwrap();
    }

    fn trusted(&self) -> TlsClient {
        TlsClient::from_pem_file(self.roots.path()).unwrap()
    }
}

impl Files {
    fn server(&self) -> TlsServer {
        TlsServer::from_pem_files(self.certificate.path(), self.key.path()).unwrap()
    }
}

// ---- ends ----

/// What became of one end of a connection.
#[derive(Default)]
struct Seen {
    id: Option<SourceId>,
    alpn: Option<String>,
    name: Option<String>,
    /// Ciphertext that had come by the end of the handshake.
    handshake: u64,
    input: Vec<u8>,
    ended: bool,
    closed: Option<CloseReason>,
}

type Notes = Rc<RefCell<Seen>>;

fn is_open(notes: &Notes) -> bool {
    notes.borrow().id.is_some()
}

fn is_closed(notes: &Notes) -> bool {
    notes.borrow().closed.is_some()
}

fn heard(notes: &Notes) -> usize {
    notes.borrow().input.len()
}

/// The sentence with which TLS ended, and only TLS.
#[track_caller]
fn tls_reason(notes: &Notes) -> String {
    match &notes.borrow().closed {
        Some(CloseReason::Tls(sentence)) => sentence.clone(),
        other => panic!("closed by {other:?} and not by TLS"),
    }
}

type Words = Box<dyn FnOnce(&mut Connection)>;

/// Takes notes of everything, and answers as it is told to.
struct End {
    notes: Notes,
    echo: bool,
    first_words: Option<Words>,
}

impl End {
    fn new() -> (Box<Self>, Notes) {
        Self::saying(|_| {})
    }

    /// Says something as soon as it is open.
    fn saying(words: impl FnOnce(&mut Connection) + 'static) -> (Box<Self>, Notes) {
        let notes = Notes::default();
        let end = Self { notes: notes.clone(), echo: false, first_words: Some(Box::new(words)) };
        (Box::new(end), notes)
    }

    fn echo() -> (Box<Self>, Notes) {
        let (mut end, notes) = Self::new();
        end.echo = true;
        (end, notes)
    }
}

impl Handler for End {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        assert!(conn.is_tls());
        {
            let mut notes = self.notes.borrow_mut();
            notes.id = Some(conn.id());
            notes.alpn = conn.alpn().map(|alpn| String::from_utf8(alpn.to_vec()).unwrap());
            notes.name = conn.server_name().map(str::to_owned);
            notes.handshake = conn.received();
        }
        if let Some(words) = self.first_words.take() {
            words(conn);
        }
    }

    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        if self.echo {
            conn.send_now(input);
        }
        self.notes.borrow_mut().input.extend_from_slice(input);
        input.len()
    }

    fn ended(&mut self, conn: &mut Connection, _: &mut EventLoop, unconsumed: &[u8]) {
        assert!(unconsumed.is_empty());
        self.notes.borrow_mut().ended = true;
        conn.close();
    }

    fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        let mut notes = self.notes.borrow_mut();
        assert!(notes.closed.is_none(), "closed twice");
        notes.closed = Some(match reason {
            CloseReason::Tls(sentence) => CloseReason::Tls(sentence.clone()),
            CloseReason::Peer => CloseReason::Peer,
            CloseReason::Local => CloseReason::Local,
            CloseReason::Reset => CloseReason::Reset,
            CloseReason::LoopEnded => CloseReason::LoopEnded,
            other => panic!("closed because {other}"),
        });
    }
}

/// Echoes to everybody; the notes are those of the latest connection.
fn echo_server(el: &mut EventLoop, tls: &TlsServer) -> (SocketAddr, Rc<RefCell<Notes>>) {
    let latest = Rc::new(RefCell::new(Notes::default()));
    let put = Rc::clone(&latest);
    let address = serve(el, tls, move || {
        let (end, notes) = End::echo();
        *put.borrow_mut() = notes;
        end
    });
    (address, latest)
}

/// Long enough for every handshake here, short enough to wait for.
const HANDSHAKE: Duration = Duration::from_secs(1);

fn serve<H: Handler + 'static>(
    el: &mut EventLoop,
    tls: &TlsServer,
    mut make: impl FnMut() -> Box<H> + 'static,
) -> SocketAddr {
    let options = Options { handshake: HANDSHAKE, ..Options::default() };
    let listen = Listen::on(([127, 0, 0, 1], 0).into()).options(options).tls(tls.clone());
    let bound = listen.bind().unwrap();
    let address = bound.address().unwrap();
    el.accept_on(bound, move |_, _| Some(make())).unwrap();
    address
}

fn call(el: &mut EventLoop, to: SocketAddr, tls: &TlsClient, name: &str, end: Box<End>) {
    let connect = Connect::to(to.into()).tls(tls.clone(), Some(name.to_owned()));
    el.connect(connect, move |_, result| {
        result.unwrap();
        Some(end)
    });
}

/// Calls, and waits for the end of the handshake one way or the other.
#[track_caller]
fn called(el: &mut EventLoop, to: SocketAddr, tls: &TlsClient, name: &str) -> Notes {
    let (end, notes) = End::new();
    call(el, to, tls, name, end);
    run_until(el, LIMIT, || is_open(&notes) || is_closed(&notes));
    notes
}

/// Says `words` to an echo and waits for them to come back.
#[track_caller]
fn echoed(el: &mut EventLoop, notes: &Notes, words: &[u8]) {
    let (id, before) = (notes.borrow().id.unwrap(), heard(notes));
    el.connection(id).expect("it is still there").send(words);
    run_until(el, LIMIT, || heard(notes) >= before + words.len());
    assert_eq!(notes.borrow().input[before..], *words);
}

/// Bytes in which no two pieces are alike.
fn pattern(len: usize) -> Vec<u8> {
    (0..len.div_ceil(4) as u32)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B1).to_be_bytes())
        .take(len)
        .collect()
}

// ---- between our own ends ----

#[test]
fn a_mebibyte_goes_there_and_back() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let (address, server) = echo_server(&mut el, &authority.signs("example.test").server());
    let words = pattern(1 << 20);
    let said = words.clone();
    let (end, client) = End::saying(move |conn| conn.send(&said));
    call(&mut el, address, &authority.trusted(), "example.test", end);
    run_until(&mut el, LIMIT, || heard(&client) >= words.len());
    assert!(client.borrow().input == words && server.borrow().borrow().input == words);

    let id = client.borrow().id.unwrap();
    el.connection(id).unwrap().close();
    let server = server.borrow().clone();
    run_until(&mut el, LIMIT, || is_closed(&client) && is_closed(&server));
    assert!(server.borrow().ended);
    assert!(matches!(server.borrow().closed, Some(CloseReason::Peer)));
    assert!(matches!(client.borrow().closed, Some(CloseReason::Local)));
}

#[test]
fn shared_segments_and_file_ranges_arrive_whole_and_in_order() {
    let content = pattern(3_000_000);
    let path = Scratch::new("range");
    fs::write(path.path(), &content).unwrap();
    let file = Arc::new(OwnedFd::from(fs::File::open(path.path()).unwrap()));
    let shared = Bytes::from(content.clone());
    let mut expected = b"head".to_vec();
    expected.extend_from_slice(&content);
    expected.extend_from_slice(&content[1_000_001..]);
    expected.extend_from_slice(b"tail");

    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let address = serve(&mut el, &authority.signs("example.test").server(), move || {
        let (file, shared) = (Arc::clone(&file), shared.clone());
        let words = move |conn: &mut Connection| {
            conn.send(b"head");
            conn.send_shared(shared);
            conn.send_file(FileRange { file, offset: 1_000_001, len: 1_999_999 });
            conn.compose(|out| out.extend_from_slice(b"tail"));
            conn.close();
        };
        End::saying(words).0
    });
    let client = called(&mut el, address, &authority.trusted(), "example.test");
    run_until(&mut el, LIMIT, || is_closed(&client));
    assert!(client.borrow().input == expected);
    assert!(client.borrow().ended);
}

/// Keeps no queue: writes from its own memory and its file what the socket takes.
struct Producer {
    content: Rc<Vec<u8>>,
    file: Rc<fs::File>,
    at: usize,
}

impl Producer {
    fn produce(&mut self, conn: &mut Connection) {
        while self.at < self.content.len() {
            let left = self.content.len() - self.at;
            // Turns about: some from memory, some from the file.
            let taken = if (self.at / 700_000).is_multiple_of(2) {
                let piece = &self.content[self.at..][..left.min(300_000)];
                let (a, b) = piece.split_at(piece.len() / 3);
                conn.gather(&[std::io::IoSlice::new(a), std::io::IoSlice::new(b)])
            } else {
                use std::os::fd::AsFd;
                conn.gather_file(self.file.as_fd(), self.at as u64, left.min(200_000))
            };
            if taken == 0 {
                return;
            }
            self.at += taken;
        }
        conn.close();
    }
}

impl Handler for Producer {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.produce(conn);
    }

    fn writable(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.produce(conn);
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }
}

#[test]
fn direct_writes_go_on_when_the_socket_has_room_again() {
    let content = Rc::new(pattern(5_000_000));
    let path = Scratch::new("direct");
    fs::write(path.path(), &*content).unwrap();
    let file = Rc::new(fs::File::open(path.path()).unwrap());
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let expected = Rc::clone(&content);
    let address = serve(&mut el, &authority.signs("example.test").server(), move || {
        Box::new(Producer { content: Rc::clone(&content), file: Rc::clone(&file), at: 0 })
    });
    let client = called(&mut el, address, &authority.trusted(), "example.test");
    run_until(&mut el, LIMIT, || is_closed(&client));
    assert!(client.borrow().input == *expected);
}

#[test]
fn both_ends_know_the_protocol_and_the_server_knows_the_name() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let server = authority.signs("Live.Example.test").server().with_alpn(["flv", "http/1.1"]);
    let (address, ours) = echo_server(&mut el, &server);
    let client = authority.trusted().with_alpn(["http/1.1", "other"]);
    let theirs = called(&mut el, address, &client, "live.example.test");
    echoed(&mut el, &theirs, b"words");
    let ours = ours.borrow().clone();
    assert_eq!(theirs.borrow().alpn.as_deref(), Some("http/1.1"));
    assert_eq!(ours.borrow().alpn.as_deref(), Some("http/1.1"));
    assert_eq!(ours.borrow().name.as_deref(), Some("live.example.test"));
    assert_eq!(theirs.borrow().name, None);
}

#[test]
fn a_client_without_a_protocol_in_common_is_refused_and_one_that_offers_none_is_not() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let server = authority.signs("example.test").server().with_alpn(["http/1.1"]);
    let (address, ours) = echo_server(&mut el, &server);
    let other = authority.trusted().with_alpn(["gopher"]);
    let theirs = called(&mut el, address, &other, "example.test");
    let ours = ours.borrow().clone();
    run_until(&mut el, LIMIT, || is_closed(&theirs) && is_closed(&ours));
    for notes in [theirs, ours] {
        let told = tls_reason(&notes);
        assert!(told.contains("the peer speaks none of our application protocols"), "{told}");
    }
    let plain = called(&mut el, address, &authority.trusted(), "example.test");
    echoed(&mut el, &plain, b"words");
    assert_eq!(plain.borrow().alpn, None);
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    // Each certificate is signed by somebody else, so a client that trusts one knows what it is shown.
    let [fallback, exact, wild, given] = ["fallback", "exact", "wild", "given"].map(Authority::new);
    let files = [
        fallback.signs("fallback.test"),
        exact.signs("a.example.test"),
        wild.signs("*.example.test"),
        given.signs("given.test"),
    ];
    let server = files[0]
        .server()
        .with_certificate(files[1].certificate.path(), files[1].key.path())
        .and_then(|server| {
            server.with_certificate(files[2].certificate.path(), files[2].key.path())
        })
        .and_then(|s| s.with_name("given.test", files[3].certificate.path(), files[3].key.path()))
        .unwrap();
    let mut el = EventLoop::new().unwrap();
    let (address, _) = echo_server(&mut el, &server);
    for (name, authority) in [
        ("fallback.test", &fallback),
        ("a.example.test", &exact),
        ("A.Example.Test", &exact),
        ("b.example.test", &wild),
        ("given.test", &given),
    ] {
        let client = called(&mut el, address, &authority.trusted(), name);
        assert!(is_open(&client), "{name}: {}", tls_reason(&client));
    }
    // A wildcard stands for one label; the default certificate that is shown instead is for another.
    for name in ["x.b.example.test", "example.test"] {
        let told = tls_reason(&called(&mut el, address, &fallback.trusted(), name));
        assert!(told.contains("for another name") && told.contains("fallback.test"), "{told}");
    }
}

#[test]
fn a_reload_shows_another_certificate_and_leaves_connections_alone() {
    let [before, after] = ["before", "after"].map(Authority::new);
    let files = before.signs("example.test");
    let mut el = EventLoop::new().unwrap();
    let server = files.server().with_alpn(["kept"]);
    let (address, ours) = echo_server(&mut el, &server);
    let old = called(&mut el, address, &before.trusted(), "example.test");
    echoed(&mut el, &old, b"before");

    // A handshake under way: the reload falls between the call and the answer.
    after.signs_into(&files, "example.test", |_| {});
    server.clone().reload().unwrap();

    let trusts_both = {
        let both = Scratch::new("both.pem");
        fs::write(both.path(), before.issuer.pem() + &after.issuer.pem()).unwrap();
        TlsClient::from_pem_file(both.path()).unwrap()
    };
    for client in [after.trusted().with_alpn(["kept"]), trusts_both.with_alpn(["kept"])] {
        let new = called(&mut el, address, &client, "example.test");
        echoed(&mut el, &new, b"after");
        assert_eq!(ours.borrow().borrow().alpn.as_deref(), Some("kept"));
    }
    let told = tls_reason(&called(&mut el, address, &before.trusted(), "example.test"));
    assert!(told.contains("signed by nobody we trust"), "{told}");
    echoed(&mut el, &old, b"still there");
    assert!(!is_closed(&old));
}

#[test]
fn a_reload_of_broken_files_says_what_is_wrong_and_changes_nothing() {
    let [before, after] = ["before", "after"].map(Authority::new);
    let files = before.signs("example.test");
    let mut el = EventLoop::new().unwrap();
    let server = files.server();
    let (address, _) = echo_server(&mut el, &server);

    // The certificate is there and its key is not yet.
    let newer = after.signs("example.test");
    fs::copy(newer.certificate.path(), files.certificate.path()).unwrap();
    let told = server.reload().unwrap_err().to_string();
    assert!(told.starts_with(files.key.path().to_str().unwrap()), "{told}");
    assert!(told.contains("does not belong to the first certificate"), "{told}");
    fs::remove_file(files.certificate.path()).unwrap();
    let told = server.reload().unwrap_err().to_string();
    assert!(told.starts_with(files.certificate.path().to_str().unwrap()), "{told}");
    assert!(told.contains("No such file"), "{told}");

    let client = called(&mut el, address, &before.trusted(), "example.test");
    echoed(&mut el, &client, b"as before");
    fs::copy(newer.certificate.path(), files.certificate.path()).unwrap();
    fs::copy(newer.key.path(), files.key.path()).unwrap();
    server.reload().unwrap();
    let client = called(&mut el, address, &after.trusted(), "example.test");
    echoed(&mut el, &client, b"as of now");
}

#[test]
fn a_second_handshake_is_shorter_until_a_reload() {
    let authority = Authority::new("one");
    let files = authority.signs("example.test");
    let mut el = EventLoop::new().unwrap();
    let server = files.server();
    let (address, _) = echo_server(&mut el, &server);
    let client = authority.trusted();
    let mut handshake = || {
        let notes = called(&mut el, address, &client, "example.test");
        echoed(&mut el, &notes, b"the tickets come before this");
        notes.take().handshake
    };
    let (first, second) = (handshake(), handshake());
    assert!(second < first / 2, "{second} of {first} bytes");
    server.reload().unwrap();
    assert!(handshake() >= first / 2);
}

#[test]
fn a_certificate_nobody_should_accept_ends_the_call_with_a_sentence() {
    let [authority, stranger] = ["one", "stranger"].map(Authority::new);
    let expired = authority.signs_with("example.test", |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    let early = authority.signs_with("example.test", |params| {
        params.not_before = rcgen::date_time_ymd(3001, 1, 1);
    });
    let root = Files { certificate: Scratch::new("root.pem"), key: Scratch::new("root-key.pem") };
    fs::write(root.certificate.path(), authority.issuer.pem()).unwrap();
    fs::write(root.key.path(), authority.issuer.key().serialize_pem()).unwrap();
    let good = authority.signs("example.test");

    let mut el = EventLoop::new().unwrap();
    for (files, client, name, sentence) in [
        (&expired, &authority, "example.test", "the peer's certificate has expired"),
        (&early, &authority, "example.test", "the peer's certificate is not valid yet"),
        (&good, &stranger, "example.test", "the peer's certificate is signed by nobody we trust"),
        (&good, &authority, "other.test", "the peer's certificate is for another name"),
        (&root, &authority, "example.test", "the peer's certificate is that of an authority"),
    ] {
        let (address, ours) = echo_server(&mut el, &files.server());
        let refusing = called(&mut el, address, &client.trusted(), name);
        assert!(!is_open(&refusing));
        let told = tls_reason(&refusing);
        assert!(told.starts_with(sentence), "{told}");
        // The server hears of it and goes on.
        let ours = ours.borrow().clone();
        run_until(&mut el, LIMIT, || is_closed(&ours));
        let told = tls_reason(&ours);
        assert!(told.starts_with("the peer does not accept our certificate"), "{told}");
    }
    let (address, _) = echo_server(&mut el, &good.server());
    assert!(!is_open(&called(&mut el, address, &stranger.trusted(), "example.test")));
    let client = called(&mut el, address, &authority.trusted(), "example.test");
    echoed(&mut el, &client, b"the next one is served");
}

#[test]
fn a_name_no_certificate_can_bear_is_an_error_of_the_call() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let (address, _) = echo_server(&mut el, &authority.signs("example.test").server());
    let connect =
        Connect::to(address.into()).tls(authority.trusted(), Some("no such name".to_owned()));
    let told = Rc::new(RefCell::new(String::new()));
    let put = Rc::clone(&told);
    el.connect(connect, move |_, result| {
        *put.borrow_mut() = result.unwrap_err().to_string();
        None
    });
    run_until(&mut el, LIMIT, || !told.borrow().is_empty());
    assert!(told.borrow().contains("\"no such name\" is not a name"), "{}", told.borrow());
}

#[test]
fn an_address_can_be_certified_too() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let (address, ours) = echo_server(&mut el, &authority.signs("127.0.0.1").server());
    let (end, client) = End::new();
    let connect = Connect::to(address.into()).tls(authority.trusted(), None);
    el.connect(connect, move |_, result| result.is_ok().then_some(end as _));
    run_until(&mut el, LIMIT, || is_open(&client) || is_closed(&client));
    echoed(&mut el, &client, b"words");
    assert_eq!(ours.borrow().borrow().name, None);
}

#[test]
fn half_a_close_lets_the_answer_through() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let (address, server) = echo_server(&mut el, &authority.signs("example.test").server());
    let (end, client) = End::saying(|conn| {
        conn.send(&pattern(200_000));
        conn.half_close();
    });
    call(&mut el, address, &authority.trusted(), "example.test", end);
    run_until(&mut el, LIMIT, || is_closed(&client));
    let server = server.borrow().clone();
    run_until(&mut el, LIMIT, || is_closed(&server));
    assert!(server.borrow().ended && client.borrow().ended);
    assert!(client.borrow().input == pattern(200_000));
}

/// Leaves the loop with the first bytes it hears and comes back, by a post, as an echo of them.
struct Mover;

impl Handler for Mover {
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, _: &[u8]) -> usize {
        conn.detach(|el, detached| {
            let back = move |el: &mut EventLoop| {
                el.adopt(detached, End::echo().0).unwrap();
            };
            el.handle().post(back).unwrap();
        });
        0
    }
}

#[test]
fn a_session_moves_between_loops_with_its_connection() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let server = authority.signs("example.test").server();
    let address = serve(&mut el, &server, || Box::new(Mover));
    let client = called(&mut el, address, &authority.trusted(), "example.test");
    echoed(&mut el, &client, b"before and");
    echoed(&mut el, &client, b"after the move");
}

// ---- bad days ----

#[test]
fn a_peer_that_speaks_no_tls_ends_its_own_connection_only() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let (address, ours) = echo_server(&mut el, &authority.signs("example.test").server());
    let good = called(&mut el, address, &authority.trusted(), "example.test");
    echoed(&mut el, &good, b"before");

    struct Plain(Rc<RefCell<Vec<u8>>>, Rc<RefCell<bool>>);
    impl Handler for Plain {
        fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
            conn.send(b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n");
        }
        fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
            self.0.borrow_mut().extend_from_slice(input);
            input.len()
        }
        fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, _: &CloseReason) {
            *self.1.borrow_mut() = true;
        }
    }
    let (answer, closed) = (Rc::default(), Rc::default());
    let plain = Box::new(Plain(Rc::clone(&answer), Rc::clone(&closed)));
    el.connect(Connect::to(address.into()), move |_, result| result.is_ok().then_some(plain as _));
    run_until(&mut el, LIMIT, || *closed.borrow());
    let ours = ours.borrow().clone();
    run_until(&mut el, LIMIT, || is_closed(&ours));
    assert!(!is_open(&ours));
    let told = tls_reason(&ours);
    assert!(told.starts_with("the peer does not speak TLS"), "{told}");
    // What it is told is an alert, and nothing in the clear.
    assert_eq!(answer.borrow().first(), Some(&21), "{:?}", answer.borrow());
    echoed(&mut el, &good, b"after");
}

#[test]
fn a_server_that_speaks_no_tls_is_told_from_one_that_does() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    struct Banner;
    impl Handler for Banner {
        fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
            conn.send(b"220 mail.example.test ESMTP\r\n");
        }
        fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
            input.len()
        }
    }
    let bound = Listen::on(([127, 0, 0, 1], 0).into()).bind().unwrap();
    let address = bound.address().unwrap();
    el.accept_on(bound, |_, _| Some(Box::new(Banner))).unwrap();
    let client = called(&mut el, address, &authority.trusted(), "example.test");
    let told = tls_reason(&client);
    assert!(told.starts_with("the peer does not speak TLS"), "{told}");
}

#[test]
fn a_peer_that_never_finishes_its_handshake_is_closed_in_time() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let (address, ours) = echo_server(&mut el, &authority.signs("example.test").server());
    let began = Instant::now();
    // The head of a record of 256 bytes, and no more.
    let mut silent = std::net::TcpStream::connect(address).unwrap();
    silent.write_all(&[22, 3, 1, 1, 0]).unwrap();
    run_until(&mut el, LIMIT, || is_closed(&ours.borrow()));
    assert!(began.elapsed() >= HANDSHAKE);
    let told = tls_reason(&ours.borrow());
    assert!(told.contains("the handshake took too long"), "{told}");
}

// ---- OpenSSL ----

/// A process that does not outlive its test.
struct OpenSsl(Child);

impl OpenSsl {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("openssl is installed (Debian: package openssl)"))
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // Both fail where it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openssl_as_a_client_gets_its_echo() {
    let authority = Authority::new("one");
    let mut el = EventLoop::new().unwrap();
    let server = authority.signs("example.test").server().with_alpn(["weir"]);
    let (address, ours) = echo_server(&mut el, &server);
    let roots = authority.roots.path().to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        *ours.borrow_mut() = Notes::default();
        let mut openssl = OpenSsl::start(&[
            "s_client",
            version,
            "-connect",
            &address.to_string(),
            "-servername",
            "example.test",
            "-verify_hostname",
            "example.test",
            "-CAfile",
            roots,
            "-verify_return_error",
            "-alpn",
            "weir",
            "-quiet",
        ]);
        let words = pattern(300_000);
        let mut input = openssl.0.stdin.take().unwrap();
        let mut output = openssl.0.stdout.take().unwrap();
        let said = words.clone();
        let writer = std::thread::spawn(move || {
            input.write_all(&said).unwrap();
            // Kept open: its end would be the end of the connection.
            input
        });
        let reader = std::thread::spawn(move || {
            let mut echo = Vec::new();
            output.read_to_end(&mut echo).map(|_| echo)
        });
        run_until(&mut el, LIMIT, || heard(&ours.borrow()) >= words.len());
        let notes = ours.borrow().clone();
        assert_eq!(notes.borrow().alpn.as_deref(), Some("weir"));
        assert_eq!(notes.borrow().name.as_deref(), Some("example.test"));
        let id = notes.borrow().id.unwrap();
        el.connection(id).unwrap().close();
        run_until(&mut el, LIMIT, || reader.is_finished() && is_closed(&notes));
        assert!(reader.join().unwrap().unwrap() == words, "{version}");
        drop(writer.join().unwrap());
        // An end without a goodbye would be "unexpected eof while reading" and a status of 1.
        assert_eq!(openssl.0.wait().unwrap().code(), Some(0), "{version}");
    }
}

#[test]
fn openssl_as_a_server_answers() {
    let authority = Authority::new("one");
    let files = authority.signs("example.test");
    let (certificate, key) =
        (files.certificate.path().to_str().unwrap(), files.key.path().to_str().unwrap());
    let mut el = EventLoop::new().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        // It sends each line back in reverse.
        let mut openssl = OpenSsl::start(&[
            "s_server",
            version,
            "-accept",
            "127.0.0.1:0",
            "-cert",
            certificate,
            "-key",
            key,
            "-alpn",
            "weir",
            "-rev",
        ]);
        let mut output = BufReader::new(openssl.0.stdout.take().unwrap());
        let address: SocketAddr = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "no ACCEPT line from s_server");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().parse().unwrap();
            }
        };
        let client = authority.trusted().with_alpn(["weir"]);
        let notes = called(&mut el, address, &client, "example.test");
        assert!(is_open(&notes), "{version}: {}", tls_reason(&notes));
        assert_eq!(notes.borrow().alpn.as_deref(), Some("weir"));
        let id = notes.borrow().id.unwrap();
        el.connection(id).unwrap().send(b"stressed\n");
        run_until(&mut el, LIMIT, || heard(&notes) >= 9);
        assert_eq!(notes.borrow().input, b"desserts\n");
        el.connection(id).unwrap().close();
        run_until(&mut el, LIMIT, || is_closed(&notes));

        // The authority it shows itself with is one the client does not know.
        let stranger = Authority::new("stranger");
        let refused = called(&mut el, address, &stranger.trusted(), "example.test");
        assert!(tls_reason(&refused).contains("signed by nobody we trust"));
    }
}
