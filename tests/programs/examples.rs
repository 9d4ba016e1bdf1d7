//! Every example does what its first lines say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use weir_tests::{PATIENCE, Program, built};

fn start(name: &str, args: &[&str]) -> (Program, SocketAddr) {
    let mut all = vec!["--port", "0", "--loops", "2"];
    all.extend(args);
    let program = Program::start(&format!("examples/{name}"), &all);
    let address = program.address();
    (program, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn line(mut stream: &TcpStream) -> String {
    let mut line = String::new();
    // One byte at a time, so that nothing behind the line is taken off the socket.
    let mut byte = [0];
    while !line.ends_with('\n') && stream.read(&mut byte).unwrap() == 1 {
        line.push(char::from(byte[0]));
    }
    line
}

#[test]
fn echo() {
    let (_program, address) = start("echo", &[]);
    let mut stream = connect(address);
    let said = b"said and heard".repeat(1000);
    stream.write_all(&said).unwrap();
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(said, heard);
}

#[test]
fn max_connections() {
    let (_program, address) = start("max_connections", &["--most", "2"]);
    let (first, second) = (connect(address), connect(address));
    assert_eq!((line(&first), line(&second)), ("welcome\n".into(), "welcome\n".into()));
    let mut third = connect(address);
    let mut said = String::new();
    third.read_to_string(&mut said).unwrap();
    assert_eq!(said, "full, come back later\n");
    drop(first);
    // The server notices the end of the first in its own time.
    let until = std::time::Instant::now() + PATIENCE;
    while line(&connect(address)) != "welcome\n" {
        assert!(std::time::Instant::now() < until, "no place became free");
    }
}

#[test]
fn push() {
    let (_program, address) = start("push", &["--every-ms", "20"]);
    let streams: Vec<_> = (0..50).map(|_| BufReader::new(connect(address))).collect();
    for stream in streams {
        let numbers: Vec<u64> = stream
            .lines()
            .take(3)
            .map(|line| line.unwrap().strip_prefix("line ").unwrap().parse().unwrap())
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
}

#[test]
fn framed() {
    let (program, address) = start("framed", &[]);
    let mut stream = connect(address);
    let mut wire = Vec::new();
    for text in ["", "abc", "0123456789"] {
        wire.extend((text.len() as u32).to_be_bytes());
        wire.extend(text.as_bytes());
    }
    stream.set_nodelay(true).unwrap();
    for byte in &wire {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut got = vec![0; wire.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, b"\0\0\0\0\0\0\0\x03cba\0\0\0\x0a9876543210");
    stream.write_all(&u32::MAX.to_be_bytes()).unwrap();
    program.wait_for("the peer sent a message of more than 1048576 bytes");
}

#[test]
fn http() {
    let (_program, address) = start("http", &[]);
    let ask = |method: &str, path: &str| {
        let output = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "5", "-X", method])
            .arg(format!("http://{address}{path}"))
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let page = ask("GET", "/api/v1/stream/?streamname=livestream1&edgename=edge240");
    assert_eq!(page.len(), 342, "{page}");
    assert!(page.contains("streamname=livestream1&edgename=edge240"));
    assert!(ask("GET", "/hello/w%C3%A4hr").ends_with("hello währ\n"));
    assert!(ask("GET", "/nothing").contains("{\"code\":404,"));
    let wrong = ask("DELETE", "/echo");
    assert!(wrong.contains("405 Method Not Allowed") && wrong.contains("Allow: POST"), "{wrong}");
}

#[test]
fn http_client() {
    let (_program, address) = start("http", &[]);
    let good = format!("http://{address}/hello/you");
    let output = Command::new(built("examples/http_client"))
        .args([&good, "--repeat", "3"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches(" 200 OK ").count(), 3, "{text}");
    let bad = format!("http://{address}:1/");
    let output = Command::new(built("examples/http_client")).arg(&bad).output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn reconnect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let program = Program::start("examples/reconnect", &[&address.to_string(), "--every-ms", "10"]);
    let (first, _) = listener.accept().unwrap();
    assert_eq!((line(&first), line(&first)), ("hello\n".into(), "still here\n".into()));
    drop((first, listener));
    program.wait_for("lost");
    // The server returns at the same address, and so does the client.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(1).unwrap();
    let (second, _) = TcpListener::from(socket).accept().unwrap();
    assert_eq!(line(&second), "hello\n");
}

#[test]
fn signals() {
    let (program, address) = start("signals", &[]);
    let stream = connect(address);
    // The connection is on its loop once a signal reaches it; until then it is in the kernel's queue.
    let reader = stream.try_clone().unwrap();
    let hung_up = std::thread::spawn(move || line(&reader));
    while !hung_up.is_finished() {
        program.signal("HUP");
        program.wait_for("signal 1");
    }
    assert_eq!(hung_up.join().unwrap(), "hangup\n");
    program.signal("USR1");
    program.signal("TERM");
    let mut rest = String::new();
    (&stream).read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("goodbye\n"), "{rest}");
    drop(stream);
    let (status, said) = program.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert_eq!(said.last().map(String::as_str), Some("drained"));
}

#[test]
fn pairs() {
    let output = Command::new(built("examples/pairs"))
        .args(["--pairs", "100", "--active", "10", "--writes", "100", "--rounds", "3"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("\"median_us\":"), "{text}");
}
