//! Lists: a page of what all loops have, in one order; sent piece by piece where it is long.

use std::rc::Rc;

use network::http::{Answered, BodyWriter, Reply, StatusCode};
use network::{Connection, EventLoop, Handler};

use super::answer::{Wrong, envelope};
use super::gather::{Batch, Key, Pass, Step};
use super::query::{Asked, Filter, Page};
use super::{Api, JSON};
use crate::json::{Json, indent};
use crate::limits;

/// What a list is of.
pub(super) struct Kind<K> {
    /// How the array is called.
    pub member: &'static str,
    /// Its orders; the first has pages.
    pub orders: &'static [&'static str],
    /// Reads a cursor; says what is wrong with it.
    pub cursor: fn(&str) -> Result<K, String>,
    /// Writes what one loop has.
    pub rows: fn(Wanted<K>) -> Step,
    /// Every loop has all of it: one answers.
    pub is_everywhere: bool,
}

/// What each loop is asked for.
#[derive(Clone)]
pub(super) struct Wanted<K> {
    pub filter: Filter,
    /// Only entries behind this one.
    pub after: Option<K>,
    /// In another order than the usual one.
    pub sort: Option<&'static str>,
    pub most: usize,
    pub is_pretty: bool,
}

/// Answers a list.
pub(super) fn answer<K: Clone + 'static>(
    kind: &'static Kind<K>,
    api: &Rc<Api>,
    asked: &Asked,
    reply: Reply<'_>,
    el: &mut EventLoop,
) -> Answered {
    let (page, wanted) = match read(kind, asked) {
        Ok(read) => read,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let is_pretty = wanted.is_pretty;
    let loops = match kind.is_everywhere {
        true => api.hub.place()..api.hub.place() + 1,
        false => 0..api.hub.loop_count(),
    };
    let step = || (kind.rows)(wanted.clone());
    api.ask(reply, el, loops, step, move |api, reply, batches| {
        let mut head = Vec::new();
        let list = List::new(api, kind.member, &page, is_pretty, batches, &mut head);
        list.send(api, reply, head)
    })
}

fn read<K>(kind: &Kind<K>, asked: &Asked) -> Result<(Page, Wanted<K>), Wrong> {
    let page = asked.page(kind.orders)?;
    let after = page.cursor.as_deref().map(kind.cursor).transpose();
    let after = after.map_err(|error| Wrong::field("cursor", error))?;
    // One more tells whether there is another page.
    let most = page.start + page.limit + 1;
    let (filter, sort, is_pretty) = (asked.filter()?, page.sort, asked.is_pretty);
    Ok((page, Wanted { filter, after, sort, most, is_pretty }))
}

/// A list whose rows the loops have written already.
struct List {
    batches: Vec<Batch>,
    /// The place of the next row of each batch.
    at: Vec<usize>,
    skip: usize,
    left: usize,
    is_pretty: bool,
    is_first: bool,
    _pass: Pass,
    /// What stands behind the last row.
    tail: Option<Vec<u8>>,
}

impl List {
    /// Puts the loops' rows together; `out` gets what stands before them.
    fn new(
        api: &Api,
        member: &str,
        page: &Page,
        is_pretty: bool,
        batches: Vec<Batch>,
        out: &mut Vec<u8>,
    ) -> Self {
        let at = vec![0; batches.len()];
        let mut list = Self {
            batches,
            at,
            skip: page.start,
            left: page.limit,
            is_pretty,
            is_first: true,
            _pass: api.hub.gatherings.pass(),
            tail: None,
        };
        let total: u64 = list.batches.iter().map(|batch| batch.total).sum();
        let next = list.next_cursor().filter(|_| page.sort.is_none());
        Json::new(out, is_pretty).object(|json| {
            envelope(json, api);
            json.number("total", total);
            json.maybe_text("next", next);
            json.member_array(member, |_| {});
        });
        // The array is open still.
        let open = out.iter().rposition(|byte| *byte == b']').unwrap_or(out.len());
        let mut tail = Vec::new();
        if is_pretty {
            indent(&mut tail, 1);
        }
        tail.extend(out.drain(open..));
        list.tail = Some(tail);
        list
    }

    /// The batch that has the smallest key.
    fn smallest(&self, at: &[usize]) -> Option<(usize, &Key)> {
        let fronts = self.batches.iter().zip(at).enumerate();
        fronts
            .filter_map(|(place, (batch, at))| Some((place, &batch.rows.get(*at)?.0)))
            .min_by_key(|(_, key)| *key)
    }

    /// The last key of this page, where there is another page behind it.
    fn next_cursor(&self) -> Option<String> {
        let most = self.skip + self.left;
        // Each loop has written one more than are asked for, where it has them.
        if self.batches.iter().map(|batch| batch.rows.len()).sum::<usize>() <= most {
            return None;
        }
        let mut at = self.at.clone();
        let mut last = None;
        for _ in 0..most {
            let (place, key) = self.smallest(&at)?;
            last = Some(key);
            *at.get_mut(place)? += 1;
        }
        last.map(Key::to_string)
    }

    /// Appends rows until there are about so many bytes; false where that was all.
    fn write(&mut self, out: &mut Vec<u8>, most: usize) -> bool {
        while self.left > 0 && out.len() < most {
            let Some((place, _)) = self.smallest(&self.at) else { break };
            let Some((batch, at)) = self.batches.get(place).zip(self.at.get_mut(place)) else {
                break;
            };
            let row = batch.row(*at);
            *at += 1;
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.left -= 1;
            if !std::mem::replace(&mut self.is_first, false) {
                out.push(b',');
            }
            if self.is_pretty {
                indent(out, 2);
            }
            out.extend_from_slice(row);
        }
        if self.left > 0 && self.smallest(&self.at).is_some() || out.len() >= most {
            return true;
        }
        if let Some(tail) = self.tail.take() {
            out.extend_from_slice(&tail);
        }
        false
    }

    /// At once where it is short, as fast as the client takes it where it is long.
    fn send(mut self, api: &Api, reply: Reply<'_>, mut begin: Vec<u8>) -> Answered {
        if !self.write(&mut begin, limits::ANSWER_PIECE) {
            return api.send(reply, StatusCode::OK, &begin);
        }
        reply.stream(
            StatusCode::OK,
            |head| api.head(head, JSON),
            move |writer| Box::new(Streamed { writer: Some(writer), list: self, piece: begin }),
        )
    }
}

/// A list on its way.
struct Streamed {
    writer: Option<BodyWriter>,
    list: List,
    piece: Vec<u8>,
}

impl Streamed {
    /// One piece, and in the next turn another one.
    fn pump(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if conn.is_congested() || conn.is_closing() {
            return;
        }
        let goes_on = self.list.write(&mut self.piece, limits::ANSWER_PIECE);
        let Some(writer) = &self.writer else { return };
        writer.send(conn, &self.piece);
        self.piece.clear();
        if goes_on {
            el.mark_due(conn.id());
        } else if let Some(writer) = self.writer.take() {
            writer.end(conn);
        }
    }
}

impl Handler for Streamed {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.pump(conn, el);
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, _: &[u8]) -> usize {
        // The next request waits for its turn.
        0
    }

    fn writable(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.pump(conn, el);
    }

    fn due(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.pump(conn, el);
    }
}
