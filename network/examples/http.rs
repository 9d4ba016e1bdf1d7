//! An HTTP server with three routes, an error handler, and the page by which the stream look-up of
//! several servers is compared: 342 bytes with its head for the usual question.
//!
//!     cargo run --release -p network --example http -- --port 8080
//!     curl -i 'http://127.0.0.1:8080/api/v1/stream/?streamname=livestream1&edgename=edge240'

use std::cell::RefCell;
use std::fmt;
use std::io::Write;

use clap::Parser;
use network::http::{
    Answered, Body, Failure, Method, Reply, Request, RouteError, Server, StatusCode,
};
use network::{EventLoop, Listen, Threads};

#[derive(Parser)]
struct Args {
    /// Port on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Loops, one thread each
    #[arg(long, default_value_t = network::default_loops())]
    loops: usize,
}

/// Says what was asked, as a page.
fn stream(request: &Request<'_>, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    thread_local! {
        static PAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let target = request.target();
    let query = target.query.unwrap_or_default();
    PAGE.with_borrow_mut(|page| {
        page.clear();
        let written = write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><title>stream</title>\n\
             <h1>What was asked</h1>\n<p>Method: {}</p>\n<p>Path: {}</p>\n<p>Query: {}</p>\n\
             <p>Nothing is looked up: this page only repeats.</p></html>\n",
            request.method(),
            Escaped(target.path),
            Escaped(query),
        );
        match written {
            Ok(()) => reply.send(StatusCode::OK, "text/html", page),
            Err(_) => reply.send(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", b"no page\n"),
        }
    })
}

/// Text from a client, harmless inside a page.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.contains(['<', '>']) {
            return f.write_str(self.0);
        }
        for piece in self.0.split_inclusive(['<', '>']) {
            match piece.split_at(piece.len() - 1) {
                (text, "<") => write!(f, "{text}&lt;")?,
                (text, ">") => write!(f, "{text}&gt;")?,
                _ => f.write_str(piece)?,
            }
        }
        Ok(())
    }
}

fn hello(request: &Request<'_>, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    match request.param("name") {
        Ok(name) => reply.text(&format!("hello {}\n", name.unwrap_or_default())),
        Err(error) => reply.fail(error.into()),
    }
}

fn echo(request: &Request<'_>, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    reply.send(StatusCode::OK, "application/octet-stream", request.body())
}

fn failure(failure: &Failure, reply: Reply<'_>) -> Answered {
    let json =
        format!("{{\"code\":{},\"message\":\"{}\"}}\n", failure.status.as_u16(), failure.reason);
    reply.respond(
        failure.status,
        |head| {
            if !failure.allow.is_empty() {
                head.allow(failure.allow);
            }
            head.header("Content-Type", "application/json").map(drop)
        },
        Body::Copied(json.as_bytes()),
    )
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    network::raise_open_files()?;
    let listeners = Listen::on(([127, 0, 0, 1], args.port).into()).bind_each(args.loops)?;
    println!("http://{}", listeners[0].endpoint());
    let threads = Threads::start(listeners, None, |el, _, listener| {
        let server = (|| -> Result<_, RouteError> {
            Ok(Server::builder()
                .route(Method::Get, "/api/v1/stream/", stream)?
                .route(Method::Get, "/hello/{name}", hello)?
                .route(Method::Post, "/echo", echo)?
                .on_failure(failure)
                .build())
        })()?;
        el.accept_on(listener, move |_, _| Some(server.handler()))?;
        Ok(())
    })?;
    threads.join();
    Ok(())
}
