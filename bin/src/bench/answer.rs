//! An answer over HTTP whose body nobody looks at.

use network::http::{BodyDecoder, BodyEvent, HeadScan, HeaderSpace, HttpError, Method};
use network::http::{Parsed, ResponseHead};

/// Reads one answer after the other off a connection.
#[derive(Default)]
pub struct Answers {
    scan: HeadScan,
    under_way: Option<(BodyDecoder, Answer)>,
}

/// What an answer's head said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The connection can be asked again.
    pub keep_alive: bool,
}

impl Answers {
    /// Reads on; the bytes done with, and the answer once it is whole.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Answer>), HttpError> {
        let mut done = 0;
        if self.under_way.is_none() {
            let mut space = HeaderSpace::new();
            match ResponseHead::parse(input, Method::Get, &mut self.scan, &mut space)? {
                Parsed::Incomplete => return Ok((0, None)),
                Parsed::Complete { head, len } => {
                    let status = head.status.as_u16();
                    let answer = Answer { status, keep_alive: head.keep_alive };
                    self.under_way = Some((BodyDecoder::new(head.framing, u64::MAX)?, answer));
                    done = len;
                }
            }
        }
        let Some((body, answer)) = &mut self.under_way else { return Ok((done, None)) };
        loop {
            let step = body.decode(input.get(done..).unwrap_or_default())?;
            done += step.consumed;
            match step.event {
                BodyEvent::Data(_) => {}
                BodyEvent::NeedMore => return Ok((done, None)),
                BodyEvent::End => {
                    let answer = *answer;
                    *self = Self::default();
                    return Ok((done, Some(answer)));
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_however_they_are_cut() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
            HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
            HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        for size in [1, 7, 1000] {
            let (mut answers, mut rest, mut got) = (Answers::default(), Vec::new(), Vec::new());
            for piece in bytes.chunks(size) {
                rest.extend_from_slice(piece);
                loop {
                    let (done, answer) = answers.read(&rest).unwrap();
                    rest.drain(..done);
                    let Some(answer) = answer else { break };
                    got.push((answer.status, answer.keep_alive));
                }
            }
            assert_eq!(got, [(200, true), (404, true), (204, false)], "{size}");
        }
    }
}
