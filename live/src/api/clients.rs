//! Clients: a list of them, one of them and why it is slow, and an end for it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;

use network::http::{Answered, Reply};
use network::{Connection, EventLoop, TcpInfo};

use super::Api;
use super::answer::{Wrong, envelope};
use super::gather::{Batch, Best, Key, Step};
use super::list::{self, Kind, Wanted};
use super::query::{Asked, Filter};
use super::streams::{VHOST, skips};
use crate::clients::{Client, ClientId, NoClientId, Role};
use crate::directory::unix;
use crate::hub::Hub;
use crate::json::Json;
use crate::left_out::Skips;
use crate::limits;

/// Who is less behind than this keeps up: as much waits on its way anywhere.
const KEEPS_UP_MS: i64 = 500;

const LIST: Kind<ClientId> = Kind {
    member: "clients",
    orders: &["id", "lag"],
    cursor: |text| text.parse().map_err(|error: NoClientId| error.to_string()),
    rows: |wanted| match wanted.sort {
        Some(_) => slowest(wanted),
        None => rows(wanted),
    },
    is_everywhere: false,
};

/// `GET /api/v1/clients`
pub(super) fn list(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    list::answer(&LIST, api, &asked, reply, el)
}

/// The clients of a loop, in the order of their numbers.
fn rows(wanted: Wanted<ClientId>) -> Step {
    let Wanted { filter, after, most, is_pretty, .. } = wanted;
    let mut seen = None;
    Box::new(move |hub: &Rc<Hub>, el: &mut EventLoop, batch: &mut Batch| {
        let (mut looked, mut written) = (0, 0);
        let mut is_over = true;
        hub.clients.walk(seen, |client| {
            if looked >= limits::PASSED_AT_ONCE || written >= limits::ROWS_AT_ONCE {
                is_over = false;
                return false;
            }
            seen = Some(client.id);
            looked += 1;
            if !is_asked_for(client, &filter) {
                return true;
            }
            batch.total += 1;
            if after.is_none_or(|after| client.id > after) && batch.rows.len() < most {
                written += 1;
                let conn = client.source.and_then(|source| el.peek(source));
                let key = Key::Client(client.id);
                batch.add(key, is_pretty, 2, |json| row(json, client, conn));
            }
            true
        });
        is_over
    })
}

fn is_asked_for(client: &Client, filter: &Filter) -> bool {
    filter.publishes.is_none_or(|wanted| wanted == client.is_publisher())
        && filter.takes(&client.stream, Some(client.protocol), client.peer)
}

/// The clients of a loop that are furthest behind, and why.
fn slowest(wanted: Wanted<ClientId>) -> Step {
    let Wanted { filter, most, is_pretty, .. } = wanted;
    let (mut seen, mut best) = (None, Best::new(most));
    let mut sorted: Option<std::vec::IntoIter<_>> = None;
    Box::new(move |hub: &Rc<Hub>, el: &mut EventLoop, batch: &mut Batch| {
        let mut looked = 0;
        hub.clients.walk(seen, |client| {
            if sorted.is_some() || looked >= limits::PASSED_AT_ONCE {
                return false;
            }
            seen = Some(client.id);
            looked += 1;
            if is_asked_for(client, &filter) {
                batch.total += 1;
                let behind = lag(client).and_then(|(ms, _)| u64::try_from(ms).ok());
                best.add(behind.map_or(0, |ms| ms + 1), client.id);
            }
            true
        });
        if looked > 0 {
            return false;
        }
        let sorted = sorted.get_or_insert_with(|| best.take().into_iter());
        for (rank, id) in sorted.by_ref().take(limits::ROWS_AT_ONCE) {
            // It may have left meanwhile.
            hub.clients.with(id, |client| {
                let conn = client.source.and_then(|source| el.peek(source));
                batch.add(Key::RankedClient(rank, id), is_pretty, 2, |json| {
                    row(json, client, conn);
                    why(json, client, conn);
                });
            });
        }
        sorted.len() == 0
    })
}

/// `GET /api/v1/clients/ID`, of all loops: the number does not say where it is now.
pub(super) fn one(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    let id = match asked.client() {
        Ok(id) => id,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let is_pretty = asked.is_pretty;
    let step = move || -> Step {
        Box::new(move |hub, el, batch| {
            hub.clients.with(id, |client| {
                let conn = client.source.and_then(|source| el.peek(source));
                batch.add(Key::Client(id), is_pretty, 1, |json| {
                    row(json, client, conn);
                    why(json, client, conn);
                });
            });
            true
        })
    };
    api.ask(
        reply,
        el,
        0..api.hub.loop_count(),
        step,
        move |api, reply, batches| match Batch::found(&batches) {
            None => api.fail(reply, &unknown()),
            Some(batch) => api.object(reply, is_pretty, |json| {
                envelope(json, api);
                json.raw("client", &batch.bytes);
            }),
        },
    )
}

fn unknown() -> Wrong {
    Wrong { field: Some("client".to_owned()), ..Wrong::not_found("there is no such client") }
}

/// `DELETE /api/v1/clients/ID`
pub(super) fn kick(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    let id = match asked.client() {
        Ok(id) => id,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let is_pretty = asked.is_pretty;
    let step = move || -> Step {
        Box::new(move |hub, el, batch| {
            if hub.kick(el, id) {
                batch.rows.push((Key::Client(id), 0));
            }
            true
        })
    };
    api.ask(
        reply,
        el,
        0..api.hub.loop_count(),
        step,
        move |api, reply, batches| match Batch::found(&batches) {
            None => api.fail(reply, &unknown()),
            Some(_) => api.object(reply, is_pretty, |json| {
                envelope(json, api);
                json.text("kicked", id);
            }),
        },
    )
}

/// Milliseconds and bytes that a player is behind.
fn lag(client: &Client) -> Option<(i64, u64)> {
    let Role::Player { view, cursor } = &client.role else { return None };
    let at = cursor.get();
    Some((view.lag(at) / 1000, view.head().saturating_sub(at)))
}

fn row(json: &mut Json<'_>, client: &Client, conn: Option<&Connection>) {
    let seconds = client.since.elapsed().as_secs_f64();
    let moved = match (&client.role, conn) {
        (Role::Publisher, Some(conn)) => conn.received().saturating_sub(client.before),
        (Role::Player { .. }, Some(conn)) => conn.sent().saturating_sub(client.before),
        (_, _) => 0,
    };
    let (recv, send) = if client.is_publisher() { (moved, 0) } else { (0, moved) };
    json.text("id", client.id);
    json.text("vhost", VHOST);
    json.text("stream", &client.stream);
    json.text("app", client.stream.app());
    json.text("name", client.stream.name());
    json.text("url", format_args!("/{}", client.stream));
    json.maybe_text("ip", client.peer.map(|peer| peer.ip().to_canonical()));
    json.maybe_text("address", client.peer.map(canonical));
    json.text("protocol", client.protocol);
    let does = if client.is_publisher() { "publish" } else { "play" };
    json.text("type", format_args!("{}-{does}", client.protocol));
    json.flag("publish", client.is_publisher());
    json.number("since_ms", u64::try_from(unix(client.began).as_millis()).unwrap_or(0));
    json.float("alive", seconds);
    let is_known = !matches!(client.role, Role::Requests);
    json.maybe_number("send_bytes", is_known.then_some(send));
    json.number("recv_bytes", recv);
    json.member_object("kbps", |json| {
        let rate = |bytes: u64| (bytes as f64 / 125.0 / seconds.max(0.001)).round() as u64;
        json.number("recv_30s", rate(recv));
        json.number("send_30s", rate(send));
    });
    let lag = lag(client);
    json.maybe_number("lag_ms", lag.and_then(|(ms, _)| u64::try_from(ms).ok()));
    json.maybe_number("lag_bytes", lag.map(|(_, bytes)| bytes));
    let skipped = match &client.role {
        Role::Player { cursor, .. } => cursor.skipped(),
        Role::Publisher | Role::Requests => Skips::default(),
    };
    skips(json, &skipped);
}

/// An address as IPv4 where it is one.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Why it is slow, in the kernel's figures and in words.
fn why(json: &mut Json<'_>, client: &Client, conn: Option<&Connection>) {
    let info = conn.and_then(|conn| conn.tcp_info().ok());
    json.number("queued_bytes", conn.map_or(0, |conn| conn.queued() as u64));
    match info {
        None => json.null("tcp"),
        Some(info) => json.member_object("tcp", |json| {
            json.float("rtt_ms", info.round_trip.as_secs_f64() * 1000.0);
            json.float("rtt_variation_ms", info.round_trip_variation.as_secs_f64() * 1000.0);
            json.number("retransmits", info.retransmits.into());
            json.number("congestion_window_bytes", info.congestion_window);
            json.number("in_flight_bytes", info.in_flight);
            json.number("unsent_bytes", info.unsent);
        }),
    }
    let slow = match (&client.role, lag(client)) {
        (Role::Publisher, _) => publishers(info.as_ref()),
        (_, Some(lag)) => words(lag, info.as_ref()),
        (_, None) => "it fetches segments: only it knows how far behind it is".to_owned(),
    };
    json.text("slow", slow);
}

/// What can be said of a publisher's connection; whether it keeps up is its stream's health.
fn publishers(info: Option<&TcpInfo>) -> String {
    let mut text = "it publishes: its stream's health says how it comes".to_owned();
    if let Some(info) = info {
        let rtt = info.round_trip.as_secs_f64() * 1000.0;
        // Writing to a String does not fail.
        let _ = write!(text, "; a round trip of {rtt:.1} ms");
    }
    text
}

fn words((ms, bytes): (i64, u64), info: Option<&TcpInfo>) -> String {
    if ms < KEEPS_UP_MS {
        return "it keeps up".to_owned();
    }
    let mut text = format!("it is {ms} ms ({bytes} bytes) behind: ");
    let Some(info) = info else {
        text.push_str("the kernel does not say why");
        return text;
    };
    let rtt = info.round_trip.as_secs_f64();
    if info.unsent == 0 && info.in_flight == 0 {
        text.push_str("it has taken all it was sent; its next bytes are on their way");
    } else if info.in_flight == 0 {
        text.push_str("it does not read, its receive window is full");
    } else if info.in_flight.saturating_mul(10) >= info.congestion_window.saturating_mul(8) {
        text.push_str("its network takes no more");
        if rtt > 0.0 {
            let kbit = info.congestion_window as f64 / 125.0 / rtt;
            // Writing to a String does not fail.
            let _ = write!(text, ", about {kbit:.0} kbit/s");
        }
    } else {
        text.push_str("it reads too slowly, its receive window is small");
    }
    let _ = write!(
        text,
        "; a round trip of {:.1} ms, {} segments sent again, a congestion window of {} bytes, {} \
         bytes unsent",
        rtt * 1000.0,
        info.retransmits,
        info.congestion_window,
        info.unsent
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_kernels_figures_in_words() {
        let info = TcpInfo {
            round_trip: Duration::from_millis(100),
            round_trip_variation: Duration::ZERO,
            retransmits: 7,
            congestion_window: 14_480,
            in_flight: 14_480,
            unsent: 100_000,
        };
        assert_eq!(words((100, 9), Some(&info)), "it keeps up");
        let network = words((2000, 9), Some(&info));
        assert!(network.contains("its network takes no more, about 1158 kbit/s"), "{network}");
        assert!(network.contains("100.0 ms, 7 segments sent again"), "{network}");
        let closed = TcpInfo { in_flight: 0, ..info };
        assert!(words((2000, 9), Some(&closed)).contains("does not read"));
        let small = TcpInfo { in_flight: 1000, ..info };
        assert!(words((2000, 9), Some(&small)).contains("reads too slowly"));
    }
}
