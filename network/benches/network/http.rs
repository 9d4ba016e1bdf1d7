//! HTTP: one GET, over and over, answered with a page of 342 bytes, head included.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use network::http::{Answered, Method, Reply, Request, StatusCode};
use network::{Bound, EventLoop, SetupResult};

use crate::load::{self, Sample, Script, Server};
use crate::measure::{self, Outcome};

/// Connections, requests in flight on each.
const CASES: [(usize, usize); 3] = [(100, 1), (1000, 1), (100, 16)];
/// Bytes of a reply.
const REPLY: usize = 342;
/// The question of the stream look-up, which several servers have an example for.
const REQUEST: &[u8] = b"GET /api/v1/stream/?streamname=livestream1&edgename=edge240 HTTP/1.1\r\n\
    Host: localhost\r\n\r\n";

pub fn run() -> Outcome<()> {
    let samples = measure::in_turn(&CASES, |turn, &(conns, depth)| {
        eprintln!("http: {conns} connections, depth {depth}, run {turn}");
        let server = Server::start(serve)?;
        let script = script(server.address())?;
        server.load(&script, conns, depth)
    })?;
    let rows = CASES.iter().zip(&samples).map(|((conns, depth), runs)| {
        let mut row = vec![conns.to_string(), depth.to_string()];
        row.extend(Sample::cells(runs));
        row.push("`cargo bench -p network -- http`".into());
        row
    });
    let heads = [&["connections", "depth"], &load::COLUMNS[..], &["command"]].concat();
    measure::table("HTTP, a reply of 342 bytes", &heads, &rows.collect::<Vec<_>>());
    Ok(())
}

fn serve(el: &mut EventLoop, bound: Bound) -> SetupResult {
    let server =
        network::http::Server::builder().route(Method::Get, "/api/v1/stream/", page)?.build();
    el.accept_on(bound, move |_, _| Some(server.handler()))?;
    Ok(())
}

/// A page made for each request out of what was asked, as a real one would be.
fn page(request: &Request<'_>, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    thread_local! {
        static PAGE: RefCell<String> = const { RefCell::new(String::new()) };
    }
    PAGE.with_borrow_mut(|page| {
        page.clear();
        let written = write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><title>stream</title>\n<p>Method: {}</p>\n\
             <p>Path: {}</p>\n<p>Query: {}</p>\n\
             <p>Nothing is looked up: this page repeats what was asked, in 342 bytes.</p></html>\n",
            request.method(),
            request.path(),
            request.target().query.unwrap_or_default(),
        );
        match written {
            Ok(()) => reply.send(StatusCode::OK, "text/html", page.as_bytes()),
            Err(_) => reply.send(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", b"no page\n"),
        }
    })
}

/// Asks once and takes the answer as the one to expect; only its date may differ.
fn script(server: SocketAddr) -> Outcome<Arc<Script>> {
    let mut stream = load::connect(server)?;
    stream.write_all(REQUEST)?;
    stream.shutdown(Shutdown::Write)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let text = String::from_utf8(reply)?;
    if text.len() != REPLY || !text.starts_with("HTTP/1.1 200 OK\r\n") {
        return Err(
            format!("the reply has {} bytes instead of {REPLY}:\n{text}", text.len()).into()
        );
    }
    let from = text.find("Date: ").ok_or("the reply has no date")?;
    let until =
        from + text.get(from..).and_then(|rest| rest.find('\r')).ok_or("the date is open")?;
    Ok(Arc::new(Script::same(REQUEST.to_vec(), text.into_bytes(), from..until)))
}
