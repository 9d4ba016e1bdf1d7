//! Whom the client calls, and whom not.

use super::*;

#[test]
fn nobody_there() {
    let mut el = EventLoop::new().unwrap();
    let client = client();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url: Url = format!("http://{closed}/x?key=secret").parse().unwrap();
    let error = get(&mut el, &client, &url).unwrap_err();
    assert!(matches!(error.cause, ClientCause::Connect(_)), "{error}");
    let said = error.to_string();
    assert!(said.starts_with(&format!("GET http://{closed}/x: ")), "{said}");
    assert!(said.contains("refused") && !said.contains("secret"), "{said}");

    let url: Url = "http://no-such-host.invalid/".parse().unwrap();
    let error = get(&mut el, &client, &url).unwrap_err();
    assert!(matches!(error.cause, ClientCause::Resolve(_)), "{error}");
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    assert_eq!((client.connections(), Rc::strong_count(&client)), (0, 1));
}

#[test]
fn a_guard_sees_every_address_that_would_be_called() {
    let mut el = EventLoop::new().unwrap();
    let (base, accepted) = serve(&mut el);
    let away = base.join("/hello/x").unwrap();
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n");
    let peer = Peer::saying(answer);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (list, allowed) = (Rc::clone(&seen), peer.address);
    let client = client_with(|options| {
        options.allow = Some(Rc::new(move |address| {
            list.borrow_mut().push(*address);
            *address == allowed
        }));
    });
    let named: Url = format!("http://localhost:{}/hello/x", base.port()).parse().unwrap();
    for url in [&named, &away, &peer.url("/")] {
        let error = get(&mut el, &client, url).unwrap_err();
        let ClientCause::NotAllowed(address) = error.cause else { panic!("{error}") };
        assert_eq!(address.port(), base.port());
        assert_eq!(error.redirects, u32::from(url.port() == peer.address.port()));
    }
    assert!(seen.borrow().contains(&peer.address));
    assert_eq!((accepted.get(), peer.accepted()), (0, 1));

    let public = client_with(|options| {
        options.allow = Some(Rc::new(|address| Reach::of(address.ip()) == Reach::Public));
    });
    assert!(matches!(cause(&mut el, &public, &named), ClientCause::NotAllowed(_)));
    assert_eq!((accepted.get(), public.connections()), (0, 0));
}

#[test]
fn a_name_is_called_address_by_address() {
    let mut el = EventLoop::new().unwrap();
    let (base, _) = serve(&mut el);
    // Where localhost is ::1 too, nobody listens there.
    let named: Url = format!("http://localhost:{}/hello/x", base.port()).parse().unwrap();
    assert_eq!(get(&mut el, &client(), &named).unwrap().body, "x");
}

fn certificate(name: &str) -> (TlsServer, TlsClient) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let chain = vec![made.cert.der().to_vec()];
    let server = TlsServer::from_der(chain.clone(), made.signing_key.serialize_der()).unwrap();
    (server, TlsClient::from_der(chain).unwrap())
}

#[test]
fn https_is_kept_checked_and_not_left() {
    let mut el = EventLoop::new().unwrap();
    let (tls, trust) = certificate("localhost");
    let server = Server::builder()
        .route(Method::Get, "/", |request, reply, _| {
            assert!(request.is_tls());
            reply.text("secret")
        })
        .unwrap()
        .route(Method::Get, "/down", |_, reply, _| {
            let to = "http://localhost/?key=1";
            let headers = |head: &mut network::http::ResponseWriter<'_>| {
                head.header("Location", to).map(drop)
            };
            reply.respond(StatusCode::FOUND, headers, Body::Empty)
        })
        .unwrap()
        .build();
    let (base, accepted) = listen(&mut el, move |_| server.handler(), Some(tls));
    let client = client_with(|options| options.tls = Some(trust.clone()));
    let named: Url = format!("https://localhost:{}/", base.port()).parse().unwrap();
    for _ in 0..3 {
        assert_eq!(get(&mut el, &client, &named).unwrap().body, "secret");
    }
    assert_eq!(accepted.get(), 1);
    let error = get(&mut el, &client, &named.join("/down").unwrap()).unwrap_err();
    assert!(matches!(error.cause, ClientCause::Downgrade(_)), "{error}");
    assert!(!error.to_string().contains("key=1"), "{error}");

    // The certificate is for the name, not for the address.
    let error = get(&mut el, &client, &base).unwrap_err();
    let ClientCause::Closed { when, why } = &error.cause else { panic!("{error}") };
    assert!(*when == "before it was open" && why.contains("TLS"), "{error}");
    // A server that does not speak it.
    let plain = Peer::start(|_, line| {
        line.say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        line.wait();
    });
    let url: Url = format!("https://{}/", plain.address).parse().unwrap();
    assert_eq!(get(&mut el, &client, &url).unwrap_err().cause.label(), "closed");
    // One that says nothing at all.
    let silent = Peer::start(|_, line| line.wait());
    let url: Url = format!("https://{}/", silent.address).parse().unwrap();
    let hasty = client_with(|options| {
        options.tls = Some(trust);
        options.connect_within = SHORT;
    });
    let error = get(&mut el, &hasty, &url).unwrap_err();
    assert!(matches!(error.cause, ClientCause::TimedOut(ClientTimeout::Connecting, _)), "{error}");
    run_until(&mut el, Duration::from_secs(2), || hasty.connections() == 0);
}

/// Answers with a body that ends with the connection; which it then ends as TLS asks, or cuts.
struct UntilClose {
    cuts: bool,
}

impl Handler for UntilClose {
    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it");
        if self.cuts {
            // In a call of its own, so that the answer is on its way.
            conn.start_timer(el, Duration::from_millis(1), 0);
        } else {
            conn.close();
        }
        input.len()
    }

    fn timer(&mut self, conn: &mut Connection, _: &mut EventLoop, _: u32) {
        conn.close_now();
    }
}

#[test]
fn a_body_that_somebody_in_between_has_cut_is_not_taken_for_whole() {
    let mut el = EventLoop::new().unwrap();
    for cuts in [false, true] {
        let (tls, trust) = certificate("localhost");
        let (base, _) = listen(&mut el, move |_| Box::new(UntilClose { cuts }), Some(tls));
        let client = client_with(|options| options.tls = Some(trust));
        let url = format!("https://localhost:{}/", base.port()).parse().unwrap();
        let outcome = get(&mut el, &client, &url);
        if cuts {
            assert_eq!(outcome.unwrap_err().cause.label(), "closed");
        } else {
            assert_eq!(outcome.unwrap().body, "half of it");
        }
    }
}
