//! What waits to be sent on one connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;

use crate::{limits, sys};

/// A range of a file, sent by the kernel without a copy. Pages of it that are under way must not be
/// changed: the kernel refers to them, it does not copy them.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file; a `memfd` or a plain file.
    pub file: Arc<OwnedFd>,
    /// Where the range begins.
    pub offset: u64,
    /// How long it is.
    pub len: usize,
}

pub(super) fn short_file() -> io::Error {
    io::Error::other("the file ended before the range to be sent")
}

/// ```text
///  parts:   [ Copied 12 ][ Shared ........ ][ Copied 12 ][ Shared ..... ][ File ... ]
///               |                                |
///  copied:  [ ..12.. ][ ..12.. ]    one buffer for all small pieces, in order
///             ^ copied_at
/// ```
/// Small pieces (a WebSocket header, an HTTP head) lie in one buffer; shared pieces are referred to.
/// One gather write sends as many as the kernel takes.
#[derive(Default)]
pub(crate) struct Queue {
    parts: VecDeque<Part>,
    copied: Vec<u8>,
    copied_at: usize,
    bytes: usize,
    /// Those of them that lie in files and cost no memory here.
    in_files: usize,
}

enum Part {
    Copied(usize),
    Shared(Bytes),
    File(FileRange),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Copied(len) => *len,
            Part::Shared(bytes) => bytes.len(),
            Part::File(range) => range.len,
        }
    }
}

impl Queue {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory that wait here.
    pub fn in_memory(&self) -> usize {
        self.bytes - self.in_files
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub fn copy(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.copied.extend_from_slice(bytes);
        self.grew(bytes.len());
    }

    /// Lets `write` append to the buffer of small pieces, which spares a copy.
    pub fn compose<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let before = self.copied.len();
        let result = write(&mut self.copied);
        let len = self.copied.len().saturating_sub(before);
        if len > 0 {
            self.grew(len);
        }
        result
    }

    fn grew(&mut self, len: usize) {
        self.bytes += len;
        match self.parts.back_mut() {
            Some(Part::Copied(last)) => *last += len,
            _ => self.parts.push_back(Part::Copied(len)),
        }
    }

    pub fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.parts.push_back(Part::Shared(bytes));
        }
    }

    pub fn file(&mut self, range: FileRange) {
        if range.len > 0 {
            self.bytes += range.len;
            self.in_files += range.len;
            self.parts.push_back(Part::File(range));
        }
    }

    /// Sends what the socket takes. `Ok(true)`: all of it; `Ok(false)`: the socket is full, and the
    /// kernel will say when it has room again.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        while let Some(front) = self.parts.front() {
            let (asked, result) = match front {
                Part::File(range) => {
                    (range.len, sys::send_file(socket, range.file.as_fd(), range.offset, range.len))
                }
                _ => self.gather(socket),
            };
            let sent = match result {
                Ok(0) => return Err(short_file()),
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let file = matches!(front, Part::File(_));
            self.advance(sent);
            // A short gather write means a full socket, and the kernel notes that we want room. A
            // short sendfile may also mean a short file, so that one is asked again.
            if sent < asked && !file {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One write of everything up to the first file or the kernel's bound.
    fn gather(&self, socket: BorrowedFd<'_>) -> (usize, io::Result<usize>) {
        match self.parts.len() {
            1 => {
                let only = self.slices().next().unwrap_or(&[]);
                (only.len(), sys::send(socket, only))
            }
            2..=16 => self.gather_in([IoSlice::new(&[]); 16], socket),
            _ => self.gather_in([IoSlice::new(&[]); limits::IOV_MAX], socket),
        }
    }

    fn gather_in<'a, const N: usize>(
        &'a self,
        mut slices: [IoSlice<'a>; N],
        socket: BorrowedFd<'_>,
    ) -> (usize, io::Result<usize>) {
        let (mut count, mut asked) = (0, 0);
        for (place, bytes) in slices.iter_mut().zip(self.slices()) {
            *place = IoSlice::new(bytes);
            asked += bytes.len();
            count += 1;
        }
        (asked, sys::send_gather(socket, &slices[..count]))
    }

    /// The pieces in memory up to the first file, in order.
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = self.copied_at;
        self.parts.iter().map_while(move |part| match part {
            Part::Copied(len) => {
                let from = at;
                at += len;
                Some(&self.copied[from..at])
            }
            Part::Shared(bytes) => Some(bytes),
            Part::File(_) => None,
        })
    }

    /// The first piece, for writers that take one at a time: memory at once, a file read into `scratch`.
    pub fn first<'a>(&'a self, scratch: &'a mut Vec<u8>) -> io::Result<Option<&'a [u8]>> {
        let Some(Part::File(range)) = self.parts.front() else {
            return Ok(self.slices().next());
        };
        scratch.resize(range.len.min(limits::READ_CHUNK), 0);
        match sys::read_at(range.file.as_fd(), scratch, range.offset)? {
            0 => Err(short_file()),
            n => Ok(scratch.get(..n)),
        }
    }

    /// Forgets the first `sent` bytes.
    pub fn advance(&mut self, mut sent: usize) {
        self.bytes = self.bytes.saturating_sub(sent);
        while sent > 0 {
            let Some(front) = self.parts.front_mut() else { break };
            let len = front.len();
            let step = sent.min(len);
            sent -= step;
            match front {
                Part::Copied(left) => {
                    *left -= step;
                    self.copied_at += step;
                }
                Part::Shared(bytes) => bytes::Buf::advance(bytes, step),
                Part::File(range) => {
                    range.offset += step as u64;
                    range.len -= step;
                    self.in_files -= step;
                }
            }
            if step == len {
                self.parts.pop_front();
            }
        }
        if self.copied_at == self.copied.len() {
            self.copied.clear();
            self.copied_at = 0;
        } else if self.copied_at > limits::SPARE_QUEUE_BYTES.max(self.copied.len() / 2) {
            // At most one move of a byte for each byte sent, however long the queue.
            self.copied.drain(..self.copied_at);
            self.copied_at = 0;
        }
    }
}

/// Buffers a loop keeps so that no connection needs an allocation of its own for a moment's use.
#[derive(Default)]
pub(crate) struct Spares {
    // The box is what is lent: a connection without output holds a null pointer.
    #[allow(clippy::vec_box)]
    queues: Vec<Box<Queue>>,
    rests: Vec<Vec<u8>>,
    /// Plaintext of the TLS connection at work; a file's piece on its way into TLS.
    pub plain: Vec<u8>,
    pub scratch: Vec<u8>,
}

impl Spares {
    pub fn queue(&mut self) -> Box<Queue> {
        self.queues.pop().unwrap_or_default()
    }

    pub fn keep_queue(&mut self, queue: Box<Queue>) {
        if self.queues.len() < limits::SPARE_QUEUES
            && queue.copied.capacity() <= limits::SPARE_QUEUE_BYTES
            && queue.parts.capacity() <= limits::IOV_MAX
        {
            self.queues.push(queue);
        }
    }

    pub fn rest(&mut self) -> Vec<u8> {
        self.rests.pop().unwrap_or_default()
    }

    pub fn keep_rest(&mut self, mut rest: Vec<u8>) {
        if self.rests.len() < limits::SPARE_QUEUES
            && (1..=limits::SPARE_QUEUE_BYTES).contains(&rest.capacity())
        {
            rest.clear();
            self.rests.push(rest);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Seek, Write};
    use std::os::unix::net::UnixStream;

    fn temp(content: &[u8]) -> Arc<OwnedFd> {
        let mut file = std::fs::File::from(sys::memory_file(c"queue-test").unwrap());
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        Arc::new(OwnedFd::from(file))
    }

    #[test]
    fn more_parts_than_the_kernel_takes_leave_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut queue = Queue::default();
        let mut expected = Vec::new();
        for i in 0..3000_u32 {
            let piece = i.to_be_bytes();
            if i % 2 == 0 {
                queue.copy(&piece);
            } else {
                queue.share(Bytes::copy_from_slice(&piece));
            }
            expected.extend_from_slice(&piece);
        }
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; expected.len()];
            theirs.read_exact(&mut got).unwrap();
            assert_eq!(got, expected);
        });
        while !queue.flush(ours.as_fd()).unwrap() {
            std::thread::yield_now();
        }
        assert_eq!(queue.bytes(), 0);
        reader.join().unwrap();
    }

    #[test]
    fn a_file_shorter_than_its_range_is_an_error_and_not_a_stall() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut queue = Queue::default();
        queue.file(FileRange { file: temp(b"short"), offset: 0, len: 100 });
        assert!(queue.flush(ours.as_fd()).is_err());
    }

    proptest! {
        #[test]
        fn any_mix_of_parts_and_partial_writes_keeps_the_order(
            pieces in prop::collection::vec((0..3_u8, prop::collection::vec(any::<u8>(), 0..200)), 0..60),
            steps in prop::collection::vec(1..300_usize, 1..200),
        ) {
            let mut queue = Queue::default();
            let mut expected = Vec::new();
            for (kind, piece) in &pieces {
                match kind {
                    0 => queue.copy(piece),
                    1 => queue.share(Bytes::copy_from_slice(piece)),
                    _ => queue.file(FileRange { file: temp(piece), offset: 0, len: piece.len() }),
                }
                expected.extend_from_slice(piece);
            }
            let mut got = Vec::new();
            let mut scratch = Vec::new();
            let mut steps = steps.iter().cycle();
            while !queue.is_empty() {
                let first = queue.first(&mut scratch).unwrap().unwrap();
                let step = (*steps.next().unwrap()).min(first.len());
                got.extend_from_slice(&first[..step]);
                queue.advance(step);
                prop_assert_eq!(queue.bytes(), expected.len() - got.len());
                prop_assert!(queue.in_memory() <= queue.bytes());
            }
            prop_assert_eq!(queue.in_memory(), 0);
            prop_assert_eq!(got, expected);
        }
    }
}
