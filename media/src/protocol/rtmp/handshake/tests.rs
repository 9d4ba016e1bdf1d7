#![allow(clippy::unwrap_used)]

use super::*;

/// Everything the server says to these bytes, cut into pieces of this length.
fn serve(input: &[u8], piece: usize) -> Result<(Vec<u8>, bool), HandshakeError> {
    let mut server = ServerHandshake::new(7);
    let (mut out, mut done) = (Vec::new(), false);
    for mut part in input.chunks(piece) {
        done = server.receive(&mut part, &mut out)?;
        assert!(part.is_empty() || done);
    }
    Ok((out, done))
}

fn c0c1(form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    ClientHandshake::new(form, 1).start(&mut out);
    out
}

#[test]
fn a_simple_client_is_echoed() {
    let c = c0c1(Form::Simple);
    for piece in [1, 16, 5000] {
        let (out, done) = serve(&c, piece).unwrap();
        assert_eq!(out.len(), 1 + 2 * PACKET);
        assert_eq!(out[0], 3);
        assert_eq!(out[1 + PACKET..], c[1..]);
        assert!(!done);
    }
}

#[test]
fn a_digest_client_gets_digests_in_its_own_scheme() {
    for half in [Half::First, Half::Second] {
        let mut c1 = Vec::new();
        Random(3).packet([9, 0, 124, 2], &mut c1);
        digest::sign_first(&mut c1, 0, half, Role::Client);
        let (found, asked) = digest::find(&c1, Role::Client).unwrap();
        assert_eq!(found, half);
        let (out, _) = serve(&[&[3], c1.as_slice()].concat(), 7).unwrap();
        let (s1, s2) = out[1..].split_at(PACKET);
        assert_eq!(digest::find(s1, Role::Server).unwrap().0, half);
        assert!(digest::proves(s2, &asked, Role::Server));
    }
}

#[test]
fn the_offset_may_be_any() {
    for byte in 0..=255u8 {
        for half in [Half::First, Half::Second] {
            let mut packet = vec![byte; PACKET];
            digest::sign_first(&mut packet, 0, half, Role::Client);
            let (found, _) = digest::find(&packet, Role::Client).unwrap_or((half, Vec::new()));
            assert!(byte == 0 || found == half);
        }
    }
}

#[test]
fn two_ends_agree_byte_by_byte() {
    for form in [Form::Simple, Form::Digest] {
        let mut client = ClientHandshake::new(form, 1);
        let mut server = ServerHandshake::new(2);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.start(&mut up);
        let (mut client_done, mut server_done) = (false, false);
        while !(client_done && server_done) {
            let moved: Vec<u8> = std::mem::take(&mut up);
            for byte in moved {
                server_done = server.receive(&mut &[byte][..], &mut down).unwrap();
            }
            let moved: Vec<u8> = std::mem::take(&mut down);
            for byte in moved {
                client_done = client.receive(&mut &[byte][..], &mut up).unwrap();
            }
        }
    }
}

#[test]
fn a_client_takes_a_simple_answer_to_its_digest() {
    let mut client = ClientHandshake::new(Form::Digest, 1);
    client.start(&mut Vec::new());
    let mut answer = vec![3];
    Random(9).packet([0; 4], &mut answer);
    let mut out = Vec::new();
    assert!(!client.receive(&mut answer.as_slice(), &mut out).unwrap());
    assert_eq!(out, answer[1..]);
    let rest = [vec![0; PACKET], vec![42]].concat();
    let mut rest = rest.as_slice();
    assert!(client.receive(&mut rest, &mut out).unwrap());
    assert_eq!(rest, [42]);
}

#[test]
fn others_are_told_apart_by_the_first_byte() {
    let cases: [(&[u8], HandshakeError); 7] = [
        (b"GET / HTTP/1.1\r\n\r\n", HandshakeError::HttpRequest),
        (b"POST /fcs/ident2 HTTP/1.1\r\n", HandshakeError::HttpRequest),
        (b"\x16\x03\x01\x02\x00\x01", HandshakeError::TlsClientHello),
        (b"FLV\x01", HandshakeError::Flv),
        (b"\x06", HandshakeError::Encrypted(6)),
        (b"\x00", HandshakeError::Version(0)),
        (b"\xff", HandshakeError::Version(255)),
    ];
    for (bytes, error) in cases {
        assert_eq!(serve(bytes, 1).unwrap_err(), error);
    }
    assert_eq!(
        HandshakeError::HttpRequest.to_string(),
        "peer speaks HTTP where an RTMP handshake was expected"
    );
    assert_eq!(
        HandshakeError::TlsClientHello.to_string(),
        "peer speaks TLS where a plain RTMP handshake was expected"
    );
    for (bytes, error) in [
        (&b"HTTP/1.1 400"[..], HandshakeError::HttpAnswer),
        // An alert, as who expects a ClientHello gives.
        (b"\x15\x03\x01\0\x02\x02\x46", HandshakeError::TlsAnswer),
    ] {
        let mut client = ClientHandshake::new(Form::Simple, 1);
        let answer = client.receive(&mut &bytes[..], &mut Vec::new());
        assert_eq!(answer.unwrap_err(), error);
    }
}
