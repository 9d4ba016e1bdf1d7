//! The bounds of time.

use super::*;

#[test]
fn each_bound_of_time() {
    let silent = Peer::start(|_, line| line.wait());
    let slow_head = Peer::start(|_, line| {
        line.hear();
        line.say("HTTP/1.1 200 OK\r\n");
        for _ in 0..500 {
            line.say("X: y\r\n");
            thread::sleep(Duration::from_millis(5));
        }
    });
    let half = Peer::start(|_, line| {
        line.hear();
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        line.is_closed();
    });
    let drip = Peer::start(|_, line| {
        line.hear();
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        for _ in 0..500 {
            line.say("x");
            thread::sleep(Duration::from_millis(5));
        }
    });
    let (_socket, _filled, hole) = black_hole();
    for (url, what) in [
        (hole, ClientTimeout::Connecting),
        (silent.url("/"), ClientTimeout::Answer),
        (slow_head.url("/"), ClientTimeout::Answer),
        (half.url("/"), ClientTimeout::Silence),
        (drip.url("/"), ClientTimeout::Total),
    ] {
        let mut el = EventLoop::new().unwrap();
        let client = client_with(|options| {
            let bound = match what {
                ClientTimeout::Connecting => &mut options.connect_within,
                ClientTimeout::Answer => &mut options.answer_within,
                ClientTimeout::Silence => &mut options.silent_within,
                _ => &mut options.total_within,
            };
            *bound = SHORT;
        });
        let began = Instant::now();
        let error = get(&mut el, &client, &url).unwrap_err();
        let took = began.elapsed();
        let ClientCause::TimedOut(which, bound) = error.cause else { panic!("{error}") };
        assert_eq!((which, bound), (what, SHORT));
        assert!(took >= SHORT && took < Duration::from_secs(2), "{what}: {took:?}");
        run_until(&mut el, LIMIT, || client.connections() == 0);
        assert_eq!(Rc::strong_count(&client), 1, "{what}");
    }
}

#[test]
fn waiting_for_a_connection_is_bounded_in_time_and_number() {
    let silent = Peer::start(|_, line| line.wait());
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| {
        options.connections_at_most = 1;
        options.connect_within = Duration::from_millis(300);
    });
    let all: Vec<_> =
        (0..1026).map(|_| begin(&mut el, &client, ClientRequest::get(silent.url("/"))).1).collect();
    let last = all.last().unwrap();
    run_until(&mut el, LIMIT, || !last.borrow().is_empty());
    let error = last.borrow_mut().pop().unwrap().unwrap_err();
    assert!(matches!(error.cause, ClientCause::Crowded(1024)), "{error}");
    assert_eq!((client.connections(), client.waiting()), (1, 1024));
    run_until(&mut el, LIMIT, || client.waiting() == 0);
    for outcomes in all.get(1..1025).unwrap() {
        let error = outcomes.borrow_mut().pop().unwrap().unwrap_err();
        let ClientCause::TimedOut(ClientTimeout::Waiting, _) = error.cause else {
            panic!("{error}")
        };
    }
    assert!(all.first().unwrap().borrow().is_empty(), "the one that has the connection");
    assert_eq!(silent.accepted(), 1);
}

#[test]
fn a_long_upload_does_not_count_as_the_time_for_the_answer() {
    let peer = Peer::start(|_, line| {
        let mut taken = 0;
        let mut bytes = vec![0; 128 * 1024];
        while taken < 12 << 20 {
            taken += line.0.read(&mut bytes).unwrap();
            thread::sleep(Duration::from_millis(3));
        }
        thread::sleep(SHORT);
        line.say(ok("all of it"));
        line.is_closed();
    });
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| {
        options.answer_within = 3 * SHORT;
        options.connection.send_buffer = Some(64 * 1024);
    });
    let began = Instant::now();
    let request = ClientRequest::post(peer.url("/"), "x/y", vec![0; 12 << 20]);
    let answer = ask(&mut el, &client, request).unwrap();
    assert_eq!(answer.body, "all of it");
    assert!(began.elapsed() > 4 * SHORT, "it was slow enough to mean something");
}

#[test]
fn a_server_that_stops_taking_the_request_times_out() {
    let peer = Peer::start(|_, line| {
        // Held open, not read.
        thread::sleep(Duration::from_secs(1));
        line.wait();
    });
    let mut el = EventLoop::new().unwrap();
    let client = client_with(|options| options.answer_within = 2 * SHORT);
    let request = ClientRequest::post(peer.url("/"), "x/y", vec![0; 32 << 20]);
    let error = ask(&mut el, &client, request).unwrap_err();
    assert!(matches!(error.cause, ClientCause::TimedOut(ClientTimeout::Answer, _)), "{error}");
    run_until(&mut el, LIMIT, || client.connections() == 0);
}
