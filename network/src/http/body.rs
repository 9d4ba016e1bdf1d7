//! Where a body ends: nowhere, after a length, after the last chunk, or with the connection.
//!
//! The decoder holds no bytes. It is fed what has arrived, hands out the pieces that are body as
//! slices of that same input, and remembers between calls only where it is in the framing: a
//! chunk header cut in two by the network costs nothing but a second call.

use super::lexical::{hex_digit, is_text, is_token};
use super::status::{HttpError, StatusCode};
use crate::limits;

/// How the end of a message's body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks, up to the one of length zero and its trailers.
    Chunked,
    /// All bytes until the peer closes; responses only.
    UntilClose,
}

/// One step of a [`BodyDecoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyStep<'i> {
    /// How many bytes of the input are done with, those in `event` among them.
    pub consumed: usize,
    /// What they were.
    pub event: BodyEvent<'i>,
}

/// What a [`BodyDecoder`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEvent<'i> {
    /// A piece of the body, never empty. The end is not announced with it: ask again.
    Data(&'i [u8]),
    /// The whole input is consumed and the body goes on.
    NeedMore,
    /// The body is over; the input from `consumed` on belongs to the next message.
    End,
}

/// Finds the body in the bytes after a head.
///
/// Contract: call [`decode`](BodyDecoder::decode) with the bytes not yet consumed, again and again
/// until it answers `NeedMore` or `End`; after an error the same error is the answer for ever.
#[derive(Debug, Clone)]
pub struct BodyDecoder {
    state: State,
    /// Bytes left of the body, or of the chunk.
    remaining: u64,
    /// Bytes the body may still grow by, the current chunk already taken off.
    allowance: u64,
    extensions: u32,
    trailers: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length,
    UntilClose,
    /// In the digits of a chunk size, of which there were so many.
    Size(u8),
    /// In the white space that may stand before an extension.
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
    Failed(HttpError),
}

const TOO_LARGE: HttpError =
    HttpError::new(StatusCode::CONTENT_TOO_LARGE, "the body is longer than is accepted here");

impl BodyDecoder {
    /// A decoder for one body of at most `limit` bytes; a declared length above it is refused at once.
    pub fn new(framing: BodyFraming, limit: u64) -> Result<BodyDecoder, HttpError> {
        let (state, remaining) = match framing {
            BodyFraming::None | BodyFraming::Length(0) => (State::Done, 0),
            BodyFraming::Length(length) if length > limit => return Err(TOO_LARGE),
            BodyFraming::Length(length) => (State::Length, length),
            BodyFraming::Chunked => (State::Size(0), 0),
            BodyFraming::UntilClose => (State::UntilClose, 0),
        };
        Ok(BodyDecoder { state, remaining, allowance: limit, extensions: 0, trailers: 0 })
    }

    /// True once the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next step through the input.
    pub fn decode<'i>(&mut self, input: &'i [u8]) -> Result<BodyStep<'i>, HttpError> {
        match self.step(input) {
            Ok(step) => Ok(step),
            Err(error) => {
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    /// Says whether the body may end where the connection did.
    pub fn finish(&self) -> Result<(), HttpError> {
        match self.state {
            State::Done | State::UntilClose => Ok(()),
            State::Failed(error) => Err(error),
            _ => Err(HttpError::bad_request("the connection closed before the end of the body")),
        }
    }

    fn step<'i>(&mut self, input: &'i [u8]) -> Result<BodyStep<'i>, HttpError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Done => Ok(end(0)),
            State::Length => {
                let step = self.take_data(input, 0);
                if self.remaining == 0 {
                    self.state = State::Done;
                }
                Ok(step)
            }
            State::UntilClose => {
                self.allow(input.len() as u64)?;
                self.remaining = input.len() as u64;
                Ok(self.take_data(input, 0))
            }
            _ => self.step_chunked(input),
        }
    }

    fn step_chunked<'i>(&mut self, input: &'i [u8]) -> Result<BodyStep<'i>, HttpError> {
        let mut consumed = 0;
        while let Some(byte) = input.get(consumed) {
            if self.state == State::Data {
                let step = self.take_data(input, consumed);
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                return Ok(step);
            }
            consumed += 1;
            self.state = self.framing_byte(*byte)?;
            if self.state == State::Done {
                return Ok(end(consumed));
            }
        }
        Ok(need_more(consumed))
    }

    /// The state after one byte that is framing and not data.
    fn framing_byte(&mut self, byte: u8) -> Result<State, HttpError> {
        match (self.state, byte) {
            (State::Size(digits), _) => self.size_byte(digits, byte),
            (State::SizeSpace, b' ' | b'\t') => self.extension_byte(State::SizeSpace),
            (State::SizeSpace, b';') => self.extension_byte(State::Extension),
            (State::SizeSpace, _) => Err(HttpError::bad_request(
                "a chunk size is followed by white space that leads to no extension",
            )),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, _) if is_text(byte) => self.extension_byte(State::Extension),
            (State::Extension, _) => Err(HttpError::bad_request(
                "a chunk extension holds a bare LF or another control byte",
            )),
            (State::SizeLf, b'\n') if self.remaining == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size(0)),
            (State::DataCr | State::DataLf, _) => Err(HttpError::bad_request(
                "a chunk is longer than its declared size: CRLF expected after it",
            )),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => {
                self.trailer_byte(State::TrailerName)
            }
            (State::TrailerName, b':') => self.trailer_byte(State::TrailerValue),
            (State::TrailerStart | State::TrailerName, _) => {
                Err(HttpError::bad_request("a trailer line does not begin with a name and a colon"))
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_text(byte) => self.trailer_byte(State::TrailerValue),
            (State::TrailerValue, _) => {
                Err(HttpError::bad_request("a trailer holds a bare LF or another control byte"))
            }
            (State::TrailerLf, b'\n') => self.trailer_byte(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::SizeLf | State::TrailerLf | State::EndLf, _) => {
                Err(HttpError::bad_request("a bare CR in the chunked framing, lines end in CRLF"))
            }
            // Not framing; `step` and `step_chunked` never come here in these states.
            (State::Length | State::UntilClose | State::Data | State::Done, _) => Ok(self.state),
            (State::Failed(error), _) => Err(error),
        }
    }

    fn size_byte(&mut self, digits: u8, byte: u8) -> Result<State, HttpError> {
        if let Some(digit) = hex_digit(byte) {
            if digits >= limits::HTTP_CHUNK_SIZE_DIGITS {
                return Err(HttpError::bad_request(
                    "a chunk size has more digits than a length needs",
                ));
            }
            // Sixteen digits of four bits fit: nothing is shifted out.
            let before = if digits == 0 { 0 } else { self.remaining };
            self.remaining = before << 4 | u64::from(digit);
            return Ok(State::Size(digits + 1));
        }
        if digits == 0 {
            return Err(HttpError::bad_request(
                "a chunk size does not begin with a hexadecimal digit",
            ));
        }
        let next = match byte {
            b'\r' => State::SizeLf,
            b';' => self.extension_byte(State::Extension)?,
            b' ' | b'\t' => self.extension_byte(State::SizeSpace)?,
            b'\n' => {
                return Err(HttpError::bad_request(
                    "a bare LF after a chunk size, lines end in CRLF",
                ));
            }
            _ => {
                return Err(HttpError::bad_request(
                    "a chunk size holds a byte that is no hexadecimal digit",
                ));
            }
        };
        self.allow(self.remaining)?;
        Ok(next)
    }

    fn extension_byte(&mut self, next: State) -> Result<State, HttpError> {
        self.extensions += 1;
        if self.extensions > limits::HTTP_CHUNK_EXTENSIONS {
            return Err(HttpError::bad_request("too many bytes of chunk extensions"));
        }
        Ok(next)
    }

    fn trailer_byte(&mut self, next: State) -> Result<State, HttpError> {
        self.trailers += 1;
        if self.trailers > limits::HTTP_TRAILERS {
            return Err(HttpError::new(
                StatusCode::HEADER_FIELDS_TOO_LARGE,
                "too many bytes of trailers after the last chunk",
            ));
        }
        Ok(next)
    }

    /// Takes so many bytes off what the body may still grow by.
    fn allow(&mut self, bytes: u64) -> Result<(), HttpError> {
        self.allowance = self.allowance.checked_sub(bytes).ok_or(TOO_LARGE)?;
        Ok(())
    }

    /// Hands out what the input has, from `at` on, of the remaining bytes.
    fn take_data<'i>(&mut self, input: &'i [u8], at: usize) -> BodyStep<'i> {
        let available = input.get(at..).unwrap_or_default();
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let data = available.get(..wanted).unwrap_or(available);
        self.remaining = self.remaining.saturating_sub(data.len() as u64);
        if data.is_empty() {
            return need_more(at);
        }
        BodyStep { consumed: at + data.len(), event: BodyEvent::Data(data) }
    }
}

fn end(consumed: usize) -> BodyStep<'static> {
    BodyStep { consumed, event: BodyEvent::End }
}

fn need_more(consumed: usize) -> BodyStep<'static> {
    BodyStep { consumed, event: BodyEvent::NeedMore }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the pieces one after the other; the body, and what was left over after its end.
    fn run<'i>(
        decoder: &mut BodyDecoder,
        pieces: impl IntoIterator<Item = &'i [u8]>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), HttpError> {
        let (mut body, mut left) = (Vec::new(), None);
        for piece in pieces {
            let mut at = 0;
            if let Some(left) = left.as_mut() {
                Vec::extend_from_slice(left, piece);
                continue;
            }
            loop {
                let step = decoder.decode(&piece[at..])?;
                at += step.consumed;
                match step.event {
                    BodyEvent::Data(data) => {
                        assert!(!data.is_empty());
                        body.extend_from_slice(data);
                    }
                    BodyEvent::NeedMore => {
                        assert_eq!(at, piece.len());
                        break;
                    }
                    BodyEvent::End => {
                        left = Some(piece[at..].to_vec());
                        break;
                    }
                }
            }
        }
        Ok((body, left))
    }

    fn chunked(input: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), HttpError> {
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 1000).unwrap();
        run(&mut decoder, [input])
    }

    #[test]
    fn no_body_ends_at_once() {
        for framing in [BodyFraming::None, BodyFraming::Length(0)] {
            let mut decoder = BodyDecoder::new(framing, 0).unwrap();
            assert!(decoder.is_done());
            let step = decoder.decode(b"GET").unwrap();
            assert_eq!((step.consumed, step.event), (0, BodyEvent::End));
            assert!(decoder.finish().is_ok());
        }
    }

    #[test]
    fn length_takes_exactly_its_bytes() {
        let mut decoder = BodyDecoder::new(BodyFraming::Length(5), 5).unwrap();
        assert!(decoder.finish().is_err());
        let got = run(&mut decoder, [&b"he"[..], b"lloGET /"]).unwrap();
        assert_eq!(got, (b"hello".to_vec(), Some(b"GET /".to_vec())));
        assert!(decoder.finish().is_ok());
        let error = BodyDecoder::new(BodyFraming::Length(6), 5).unwrap_err();
        assert_eq!(error.status, StatusCode::CONTENT_TOO_LARGE);
    }

    #[test]
    fn until_close_takes_all_up_to_the_limit() {
        let mut decoder = BodyDecoder::new(BodyFraming::UntilClose, 4).unwrap();
        let got = run(&mut decoder, [&b"ab"[..], b"cd", b""]).unwrap();
        assert_eq!(got, (b"abcd".to_vec(), None));
        assert!(decoder.finish().is_ok());
        let error = decoder.decode(b"e").unwrap_err();
        assert_eq!(error.status, StatusCode::CONTENT_TOO_LARGE);
        assert_eq!(decoder.decode(b""), Err(error));
        assert_eq!(decoder.finish(), Err(error));
    }

    #[test]
    fn good_chunked_bodies() {
        for (input, body, left) in [
            (&b"0\r\n\r\n"[..], &b""[..], &b""[..]),
            (b"5\r\nhello\r\n0\r\n\r\nGET", b"hello", b"GET"),
            (b"00005;a=\"b;c\"\r\nhello\r\n1 ; x\r\n!\r\n000\r\n\r\n", b"hello!", b""),
            (b"0000000000000001\r\na\r\n0;\r\n\r\n", b"a", b""),
            (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789", b""),
            (b"0\r\nDigest: x\r\nEmpty:\r\n\r\nleft", b"", b"left"),
        ] {
            let text = String::from_utf8_lossy(input);
            let got = chunked(input).unwrap();
            assert_eq!(got, (body.to_vec(), Some(left.to_vec())), "{text:?}");
            for split in 0..input.len() {
                let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 1000).unwrap();
                let (head, tail) = input.split_at(split);
                let again = run(&mut decoder, [head, tail]).unwrap();
                assert_eq!(again, got, "{text:?} split at {split}");
            }
            let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 1000).unwrap();
            let bytewise = run(&mut decoder, input.chunks(1)).unwrap();
            assert_eq!(bytewise, got, "{text:?} byte by byte");
        }
    }

    #[test]
    fn bad_chunked_bodies() {
        for (input, status) in [
            (&b"\r\n"[..], 400),
            (b"g\r\n", 400),
            (b"-1\r\n", 400),
            (b"+1\r\n", 400),
            (b" 1\r\n", 400),
            (b"0x1\r\n", 400),
            (b"1_0\r\n", 400),
            (b";a\r\n", 400),
            (b"1\na\r\n0\r\n\r\n", 400),
            (b"1\r\ra\r\n", 400),
            (b"1 \r\na\r\n", 400),
            (b"1;a\nb\r\n", 400),
            (b"1;a\0\r\n", 400),
            (b"1;a\rb\r\n", 400),
            (b"1\r\nab\r\n", 400),
            (b"1\r\na\n0\r\n\r\n", 400),
            (b"1\r\na\rb", 400),
            (b"1\r\na0\r\n\r\n", 400),
            (b"00000000000000001\r\n", 400),
            (b"fffffffffffffffff\r\n", 400),
            (b"ffffffffffffffff\r\n", 413),
            (b"3e9\r\n", 413),
            (b"3e8\r\n", 200),
            (b"0\r\n\n", 400),
            (b"0\r\n\r\r", 400),
            (b"0\r\nX: y\n\r\n", 400),
            (b"0\r\nX: y\rz", 400),
            (b"0\r\n folded\r\n", 400),
            (b"0\r\nX y\r\n", 400),
            (b"0\r\nX : y\r\n", 400),
            (b"0\r\n: y\r\n", 400),
            (b"0\r\nX: \0\r\n", 400),
            (b"0\r\nGET / HTTP/1.1\r\n", 400),
        ] {
            let got = chunked(input).map_or_else(|error| error.status.as_u16(), |_| 200);
            assert_eq!(got, status, "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn the_limit_counts_all_chunks() {
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 3).unwrap();
        let error = run(&mut decoder, [&b"2\r\nab\r\n2\r\n"[..]]).unwrap_err();
        assert_eq!(error.status, StatusCode::CONTENT_TOO_LARGE);
        assert_eq!(decoder.decode(b"cd"), Err(error));
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 3).unwrap();
        assert!(run(&mut decoder, [&b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"[..]]).is_ok());
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, u64::MAX).unwrap();
        let chunk = b"1;0123456789012345678901234567890123456789\r\na\r\n";
        let error = run(&mut decoder, vec![&chunk[..]; 1000]).unwrap_err();
        assert_eq!(error.status, StatusCode::BAD_REQUEST);

        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, u64::MAX).unwrap();
        let lines = [&b"0\r\n"[..]].into_iter().chain(vec![&b"name: value\r\n"[..]; 1000]);
        let error = run(&mut decoder, lines).unwrap_err();
        assert_eq!(error.status, StatusCode::HEADER_FIELDS_TOO_LARGE);
    }

    #[test]
    fn a_closed_connection_truncates() {
        for part in [&b""[..], b"5", b"5\r\nhell", b"5\r\nhello\r\n", b"0\r\n", b"0\r\n\r"] {
            let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 10).unwrap();
            run(&mut decoder, [part]).unwrap();
            assert!(decoder.finish().is_err(), "{:?}", String::from_utf8_lossy(part));
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(
            input in proptest::collection::vec(
                prop_oneof![
                    Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'2'), Just(b';'), Just(b':'), any::<u8>()
                ],
                0..80,
            ),
            cuts in proptest::collection::vec(0usize..80, 0..6),
        ) {
            let whole = chunked(&input);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.push(input.len());
            cuts.sort_unstable();
            let mut from = 0;
            let pieces = cuts.into_iter().map(|cut| {
                let piece = &input[from..cut];
                from = cut;
                piece
            });
            let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 1000).unwrap();
            let split = run(&mut decoder, pieces.collect::<Vec<_>>());
            prop_assert_eq!(whole, split);
        }
    }
}
