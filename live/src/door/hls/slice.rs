//! A segment or a part on its way to who asked for it.

use std::num::NonZeroUsize;
use std::rc::Rc;

use network::http::{BodyWriter, CHUNK_END, chunk_header};
use network::{CloseReason, Connection, EventLoop, Handler};

use crate::counters::Reason;
use crate::hub::Hub;
use crate::log::view::{Cursor, View};

/// Has a connection while it is sent a slice of a log, and gives it back.
///
/// It is a cursor like a player's, with an end: what the log no longer keeps is not sent, whatever the
/// head has promised.
pub(super) struct Slice {
    hub: Rc<Hub>,
    view: Rc<View>,
    segment: u32,
    at: u64,
    end: Option<u64>,
    /// Of a segment that still grows: where the HTTP chunk under way ends.
    chunk: Option<u64>,
    seat: Option<(usize, Rc<Cursor>)>,
    writer: Option<BodyWriter>,
}

impl Slice {
    pub(super) fn new(
        hub: Rc<Hub>,
        view: Rc<View>,
        segment: u32,
        at: u64,
        end: Option<u64>,
        writer: BodyWriter,
    ) -> Self {
        Self { hub, view, segment, at, end, chunk: None, seat: None, writer: Some(writer) }
    }

    fn pump(&mut self, conn: &mut Connection) {
        if self.at < self.view.tail() {
            self.hub.counters.ended(Reason::Lost);
            return conn.close_now();
        }
        if self.end.is_none() {
            self.end = self.view.segment(self.segment).and_then(|(_, end)| end);
        }
        let Some(writer) = &self.writer else { return };
        let is_chunked = writer.is_chunked();
        let to = self.end.unwrap_or(self.view.head());
        loop {
            let stop = match (is_chunked, self.chunk) {
                (false, _) => to,
                (true, Some(chunk)) => chunk,
                (true, None) => {
                    let len = usize::try_from(to.saturating_sub(self.at)).unwrap_or(usize::MAX);
                    let Some(some) = NonZeroUsize::new(len) else { break };
                    conn.send(chunk_header(some).as_bytes());
                    self.chunk = Some(to);
                    to
                }
            };
            self.send(conn, stop);
            if self.at < stop {
                break;
            }
            if self.chunk.take().is_some() {
                conn.send(CHUNK_END);
            }
            if self.at >= to {
                break;
            }
        }
        if let Some((_, at)) = &self.seat {
            at.set(self.at);
        }
        if self.end.is_some_and(|end| self.at >= end)
            && let Some(writer) = self.writer.take()
        {
            self.hub.counters.slices.add(1);
            writer.end(conn);
        }
    }

    fn send(&mut self, conn: &mut Connection, to: u64) {
        let Some(file) = self.view.file() else { return };
        let len = usize::try_from(to.saturating_sub(self.at)).unwrap_or(usize::MAX);
        if len > 0 {
            let sent = conn.gather_file(file.as_fd(), self.at, len) as u64;
            self.view.tally.sent(sent);
            self.at += sent;
        }
    }
}

impl Handler for Slice {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.seat = Some(self.view.sit(conn.id(), self.at));
        self.pump(conn);
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, _: &[u8]) -> usize {
        // The next request waits until this one is answered.
        0
    }

    fn writable(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.pump(conn);
    }

    fn due(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.pump(conn);
    }

    fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        if self.writer.is_some() {
            self.hub.counters.ended(Reason::of(reason));
        }
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        if let Some((seat, _)) = self.seat.take() {
            self.view.stand_up(seat);
        }
    }
}
