//! Sessions without a loop, cut and bent at will; and on a loop, against rustls by itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Channel, TlsClient, TlsServer, provider};
use crate::{CloseReason, Connection, EventLoop, Handler, Listen, Options, limits};

const NAME: &str = "example.test";

/// A server, and the certificate that it shows and a client may trust.
fn server() -> (TlsServer, Vec<u8>) {
    let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let certificate = own.cert.der().to_vec();
    let key = own.signing_key.serialize_der();
    (TlsServer::from_der(vec![certificate.clone()], key).unwrap(), certificate)
}

/// Both ends of a session that has not begun.
fn ends() -> (Channel, Channel) {
    let (server, certificate) = server();
    let client = TlsClient::from_der([certificate]).unwrap();
    (client.channel(NAME).unwrap(), server.channel().unwrap())
}

/// What one end has to send.
fn said(by: &mut Channel) -> Vec<u8> {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut sent = 0;
    assert!(by.send(here.as_fd(), &mut sent).unwrap());
    drop(here);
    let mut wire = Vec::new();
    there.read_to_end(&mut wire).unwrap();
    assert_eq!(sent, wire.len() as u64);
    wire
}

/// Both ends after their handshake.
fn open_ends() -> (Channel, Channel) {
    let (mut client, mut server) = ends();
    let mut plain = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        server.receive(&said(&mut client), &mut plain).unwrap();
        client.receive(&said(&mut server), &mut plain).unwrap();
    }
    assert!(plain.is_empty());
    (client, server)
}

#[test]
fn what_came_before_a_broken_record_is_delivered() {
    let (mut client, mut server) = open_ends();
    client.encrypt(b"first");
    let mut wire = said(&mut client);
    client.encrypt(b"second");
    wire.append(&mut said(&mut client));
    *wire.last_mut().unwrap() ^= 1;
    let mut plain = Vec::new();
    let reason = server.receive(&wire, &mut plain).unwrap_err();
    assert_eq!(plain, b"first");
    let told = reason.to_string();
    assert!(told.starts_with("TLS: the peer breaks the protocol"), "{told}");
    // The peer hears what was wrong with it.
    let reason = client.receive(&said(&mut server), &mut plain).unwrap_err().to_string();
    assert!(reason.contains("the peer ends TLS with an alert"), "{reason}");
}

#[test]
fn nothing_is_heard_behind_a_goodbye() {
    let (mut client, mut server) = open_ends();
    client.encrypt(b"last");
    client.say_goodbye();
    let mut wire = said(&mut client);
    wire.extend_from_slice(b"not TLS at all");
    let mut plain = Vec::new();
    assert!(server.receive(&wire, &mut plain).unwrap());
    assert!(server.receive(b"more", &mut plain).unwrap());
    assert_eq!(plain, b"last");
    // The other direction is still open.
    server.encrypt(b"answer");
    client.receive(&said(&mut server), &mut plain).unwrap();
    assert_eq!(plain, b"lastanswer");
}

#[test]
fn output_ahead_of_the_socket_is_bounded() {
    let (mut client, _server) = open_ends();
    let big = vec![7; limits::TLS_AHEAD * 4];
    let taken = client.encrypt(&big);
    assert!(taken > 0 && taken <= limits::TLS_AHEAD);
    assert_eq!(client.encrypt(&big), 0);
    said(&mut client);
    assert!(client.encrypt(&big) > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_cut_of_the_wire_gives_the_same_text(
        text in prop::collection::vec(any::<u8>(), 0..60_000),
        cuts in prop::collection::vec(prop_oneof![1..40_usize, 1..20_000_usize], 1..30),
    ) {
        let (mut client, mut server) = ends();
        let mut cuts = cuts.into_iter().cycle();
        let (mut heard, mut echoed, mut left) = (Vec::new(), Vec::new(), &text[..]);
        for _ in 0..1000 {
            if !client.is_handshaking() {
                left = &left[client.encrypt(left)..];
            }
            let mut wire = &said(&mut client)[..];
            while !wire.is_empty() {
                let (now, later) = wire.split_at(cuts.next().unwrap().min(wire.len()));
                prop_assert!(!server.receive(now, &mut heard).unwrap());
                wire = later;
            }
            if !server.is_handshaking() && heard.len() == text.len() && echoed.is_empty() {
                prop_assert_eq!(server.encrypt(&heard), heard.len());
            }
            let mut wire = &said(&mut server)[..];
            while !wire.is_empty() {
                let (now, later) = wire.split_at(cuts.next().unwrap().min(wire.len()));
                prop_assert!(!client.receive(now, &mut echoed).unwrap());
                wire = later;
            }
            if echoed.len() >= text.len() && !server.is_handshaking() {
                break;
            }
        }
        prop_assert_eq!(&heard, &text);
        prop_assert_eq!(&echoed, &text);
    }

    #[test]
    fn no_bytes_break_it(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        header in any::<bool>(),
        at in 0..400_usize,
    ) {
        // Noise alone, noise that looks like a handshake record, and a true hello with a flaw.
        let (mut client, mut server) = ends();
        let mut plain = Vec::new();
        let mut bytes = vec![22, 3, 1, 0, noise.len() as u8];
        if !header {
            bytes.clear();
        }
        bytes.extend_from_slice(&noise);
        let _ = server.receive(&bytes, &mut plain);
        let (_, mut server) = ends();
        let mut hello = said(&mut client);
        if let (Some(byte), Some(flaw)) = (hello.get_mut(at), noise.first()) {
            *byte ^= flaw;
        }
        let _ = server.receive(&hello, &mut plain);
        let _ = client.receive(&noise, &mut plain);
        prop_assert!(plain.is_empty());
    }
}

// ---- on a loop ----

type Blocking = StreamOwned<ClientConnection, TcpStream>;

/// Accepts one connection with `handler` while `client` talks to it from a thread of its own.
fn against<T: Send + 'static>(
    options: Options,
    handler: impl Handler + 'static,
    client: impl FnOnce(Blocking) -> T + Send + 'static,
) -> T {
    let (server, certificate) = server();
    let mut el = EventLoop::new().unwrap();
    let bound = Listen::on(([127, 0, 0, 1], 0).into()).options(options).tls(server).bind().unwrap();
    let address = bound.address().unwrap();
    let mut handler = Some(Box::new(handler));
    el.accept_on(bound, move |_, _| handler.take().map(|handler| handler as Box<dyn Handler>))
        .unwrap();
    let talk: JoinHandle<T> = std::thread::spawn(move || {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate)).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(NAME).unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client(StreamOwned::new(session, socket))
    });
    let until = Instant::now() + Duration::from_secs(10);
    while !talk.is_finished() {
        assert!(Instant::now() < until, "the client is not done");
        el.run_once(Duration::from_millis(5));
    }
    talk.join().unwrap()
}

/// Answers once the peer has said all it wanted.
struct Answer(usize);

impl Handler for Answer {
    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        self.0 += input.len();
        input.len()
    }

    fn ended(&mut self, conn: &mut Connection, _: &mut EventLoop, _: &[u8]) {
        let answer = format!("{} bytes", self.0);
        conn.send(answer.as_bytes());
        conn.close();
    }
}

#[test]
fn a_peer_that_ends_first_gets_its_answer_and_a_goodbye() {
    let answer = against(Options::default(), Answer(0), |mut stream| {
        stream.write_all(b"question").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        let mut answer = String::new();
        // Without a goodbye this is an error: the answer might have been cut off.
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    assert_eq!(answer.unwrap(), "8 bytes");
}

/// Sends much and closes.
struct Pour(usize);

impl Handler for Pour {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        conn.send(&vec![1; self.0]);
        conn.close();
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }
}

#[test]
fn the_goodbye_waits_for_room_in_the_socket() {
    let options = Options { notsent_lowat: Some(1), ..Options::default() };
    let read = against(options, Pour(3_000_000), |mut stream| {
        let mut all = Vec::new();
        let mut piece = [0; 10_000];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => return Ok(all.len()),
                Ok(n) => all.extend_from_slice(&piece[..n]),
                Err(error) => return Err(error),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(read.unwrap(), 3_000_000);
}

/// Wants nothing until a moment later, and tells the peer what it heard from then on.
#[derive(Default)]
struct Later {
    resumed: bool,
}

impl Handler for Later {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        conn.pause();
        conn.start_timer(el, Duration::from_millis(30), 0);
    }

    fn timer(&mut self, conn: &mut Connection, _: &mut EventLoop, _: u32) {
        self.resumed = true;
        conn.resume();
    }

    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        conn.send(if self.resumed { b"bytes in time, " } else { b"bytes too early, " });
        input.len()
    }

    fn ended(&mut self, conn: &mut Connection, _: &mut EventLoop, unconsumed: &[u8]) {
        assert!(unconsumed.is_empty());
        conn.send(if self.resumed { b"end in time" } else { b"end too early" });
        conn.close();
    }
}

#[test]
fn a_handler_that_pauses_as_it_opens_hears_nothing_before_it_resumes() {
    let heard = against(Options::default(), Later::default(), |mut stream| {
        let (session, socket) = (&mut stream.conn, &mut stream.sock);
        session.writer().write_all(b"question").unwrap();
        while session.is_handshaking() {
            while session.wants_write() {
                session.write_tls(socket).unwrap();
            }
            session.read_tls(socket).unwrap();
            session.process_new_packets().unwrap();
        }
        // The end of the handshake, the question and the goodbye leave together.
        session.send_close_notify();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).map(|_| heard)
    });
    assert_eq!(heard.unwrap(), "bytes in time, end in time");
}

#[test]
fn a_handshake_that_breaks_ends_with_a_reason() {
    struct Told(std::rc::Rc<std::cell::RefCell<String>>);
    impl Handler for Told {
        fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
            input.len()
        }
        fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
            *self.0.borrow_mut() = reason.to_string();
        }
    }
    let told = std::rc::Rc::new(std::cell::RefCell::new(String::new()));
    against(Options::default(), Told(std::rc::Rc::clone(&told)), |mut stream| {
        stream.sock.write_all(b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n").unwrap();
        let mut end = Vec::new();
        // Either an alert and the end, or a reset.
        let _ = stream.sock.read_to_end(&mut end);
    });
    let told = told.borrow();
    assert!(told.starts_with("TLS: the peer does not speak TLS"), "{told}");
}
