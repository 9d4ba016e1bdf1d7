//! WebSocket over real sockets: this library on both sides, and tungstenite as the other.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use network::http::{Method, Server};
use network::websocket::{self, CloseCode, Ended, Kind, Limits, Socket};
use network::{Connect, Connection, EventLoop, Listen, Threads};
use tungstenite::Message;

use crate::support::run_until;

const LIMIT: Duration = Duration::from_secs(10);

/// Answers each message with itself; "push" with a shared message; "bye" with a goodbye.
struct Echo;

impl websocket::Handler for Echo {
    fn message(&mut self, socket: &mut Socket<'_>, _: &mut EventLoop, kind: Kind, data: &[u8]) {
        match data {
            b"push" => socket.share(Kind::Binary, Bytes::from_static(&[7; 100_000])).unwrap(),
            b"bye" => socket.close(CloseCode::GOING_AWAY, "as you wish").unwrap(),
            _ if kind == Kind::Text => socket.text(std::str::from_utf8(data).unwrap()).unwrap(),
            _ => socket.binary(data).unwrap(),
        }
    }
}

fn serve(el: &mut EventLoop) -> SocketAddr {
    let server = Server::builder()
        .route(Method::Get, "/ws", |request, reply, _| {
            let limits = Limits { message: 200_000, frame: 200_000, ..Limits::default() };
            websocket::upgrade(request, reply, &["chat", "echo"], limits, |_| Box::new(Echo))
        })
        .unwrap()
        .build();
    let bound = Listen::on(([127, 0, 0, 1], 0).into()).bind().unwrap();
    let address = bound.address().unwrap();
    el.accept_on(bound, move |_, _| Some(server.handler())).unwrap();
    address
}

fn serve_on_thread() -> (Threads, SocketAddr) {
    let (tell, hear) = std::sync::mpsc::channel();
    let threads = Threads::start(vec![tell], None, |el, _, tell| {
        tell.send(serve(el))?;
        Ok(())
    })
    .unwrap();
    let address = hear.recv().unwrap();
    (threads, address)
}

fn call(address: SocketAddr) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    tungstenite::client(format!("ws://{address}/ws"), stream).unwrap().0
}

#[test]
fn a_foreign_client_is_served() {
    let (threads, address) = serve_on_thread();
    let mut client = call(address);
    for message in
        [Message::text("grüße"), Message::binary(vec![1; 70_000]), Message::binary(Vec::new())]
    {
        client.send(message.clone()).unwrap();
        assert_eq!(client.read().unwrap(), message);
    }
    client.send(Message::Ping(vec![1, 2, 3].into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong(vec![1, 2, 3].into()));
    client.send(Message::text("push")).unwrap();
    assert_eq!(client.read().unwrap(), Message::binary(vec![7; 100_000]));
    client.send(Message::text("bye")).unwrap();
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no goodbye") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "as you wish"));
    assert!(matches!(client.read(), Err(tungstenite::Error::ConnectionClosed)));
    threads.stop();
    threads.join();
}

#[test]
fn a_message_past_the_bound_is_told_and_ends_that_session_alone() {
    let (threads, address) = serve_on_thread();
    let (mut greedy, mut modest) = (call(address), call(address));
    // The server may close before it has taken all of it; then the rest cannot be sent.
    let _ = greedy.send(Message::binary(vec![0; 300_000]));
    match greedy.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("{other:?}"),
    }
    modest.send(Message::text("still here")).unwrap();
    assert_eq!(modest.read().unwrap(), Message::text("still here"));
    threads.stop();
    threads.join();
}

/// Sends what it is given, one after the other was answered, and notes what it hears.
struct Asker {
    left: Vec<Vec<u8>>,
    heard: Rc<RefCell<Vec<Vec<u8>>>>,
    over: Rc<RefCell<Option<CloseCode>>>,
}

impl Asker {
    fn ask(&mut self, socket: &mut Socket<'_>) {
        match self.left.pop() {
            Some(next) => socket.binary(&next).unwrap(),
            None => socket.close(CloseCode::NORMAL, "done").unwrap(),
        }
    }
}

impl websocket::Handler for Asker {
    fn opened(&mut self, socket: &mut Socket<'_>, _: &mut EventLoop) {
        self.ask(socket);
    }

    fn message(&mut self, socket: &mut Socket<'_>, _: &mut EventLoop, _: Kind, data: &[u8]) {
        self.heard.borrow_mut().push(data.to_vec());
        self.ask(socket);
    }

    fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, ended: &Ended<'_>) {
        *self.over.borrow_mut() = Some(ended.code);
    }
}

#[test]
fn this_client_and_this_server_agree_and_leave_nothing() {
    let mut el = EventLoop::new().unwrap();
    let address = serve(&mut el);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let over = Rc::new(RefCell::new(None));
    let asked: Vec<Vec<u8>> = (0..20).map(|i| vec![i as u8; i * 9_000]).collect();
    let asker = Asker { left: asked.clone(), heard: Rc::clone(&heard), over: Rc::clone(&over) };
    let chosen = Rc::new(RefCell::new(None));
    let choice = Rc::clone(&chosen);
    let to = Connect::to(address.into());
    websocket::connect(&mut el, to, "h", "/ws", &["echo"], Limits::default(), move |_, result| {
        *choice.borrow_mut() = result.unwrap().map(str::to_owned);
        Some(Box::new(asker))
    })
    .unwrap();
    run_until(&mut el, LIMIT, || over.borrow().is_some());
    assert_eq!(*over.borrow(), Some(CloseCode::NORMAL));
    assert_eq!(chosen.borrow().as_deref(), Some("echo"));
    let mut expected = asked;
    expected.reverse();
    assert_eq!(*heard.borrow(), expected);
    let handle = el.handle();
    run_until(&mut el, LIMIT, || handle.connections() == 0);
    assert_eq!(el.sources(), 1, "the listener is left");
}

#[test]
fn what_is_no_websocket_is_told_so() {
    let mut el = EventLoop::new().unwrap();
    let address = serve(&mut el);
    let outcome = Rc::new(RefCell::new(None));
    let told = Rc::clone(&outcome);
    let to = Connect::to(address.into());
    websocket::connect(&mut el, to, "h", "/other", &[], Limits::default(), move |_, result| {
        *told.borrow_mut() = Some(result.unwrap_err().to_string());
        None
    })
    .unwrap();
    run_until(&mut el, LIMIT, || outcome.borrow().is_some());
    assert!(outcome.borrow().as_deref().unwrap().contains("404"), "{outcome:?}");

    let output = std::thread::spawn(move || {
        std::process::Command::new("curl")
            .args(["-si", "--max-time", "5", &format!("http://{address}/ws")])
            .output()
            .unwrap()
    });
    run_until(&mut el, LIMIT, || output.is_finished());
    let text = String::from_utf8(output.join().unwrap().stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 426 ") && text.contains("Upgrade: websocket"), "{text}");
}
