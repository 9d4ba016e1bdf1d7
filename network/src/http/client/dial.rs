//! From an origin to a connection: the name's addresses, those that are allowed, one after the other.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::Client;
use super::error::{ClientCause, ClientTimeout};
use super::job::{Job, far};
use super::line::Line;
use super::pool::Seat;
use crate::event_loop::EventLoop;
use crate::http::Url;
use crate::resolve::ResolveError;
use crate::tcp::{Connect, ConnectCause, ConnectError, Connected, Endpoint, Handler};

/// A handshake ends this much later than the request that waits for it, which says why.
const AFTER_THE_REQUEST: Duration = Duration::from_millis(100);

/// A connection in the making, for a request or (without one) for the pool.
///
/// It belongs to whatever it waits for, the name or the connect; giving that up drops it.
pub(super) struct Dial {
    seat: Seat,
    job: Option<Weak<Job>>,
    is_https: bool,
    host: String,
    until: Instant,
    addresses: VecDeque<SocketAddr>,
}

impl Dial {
    pub fn start(
        el: &mut EventLoop,
        client: &Client,
        seat: Seat,
        url: &Url,
        job: Option<&Rc<Job>>,
    ) {
        let dial = Self {
            seat,
            job: job.map(Rc::downgrade),
            is_https: url.is_https(),
            host: url.host().to_owned(),
            until: far(Instant::now(), client.options.connect_within),
            addresses: VecDeque::new(),
        };
        el.resolve(url.host(), url.port(), move |el, found| dial.resolved(el, found));
    }

    fn resolved(mut self, el: &mut EventLoop, found: Result<Vec<SocketAddr>, ResolveError>) {
        let Some(client) = self.wanted() else { return self.give_up(el) };
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.fail(el, error.into()),
        };
        let is_allowed = |address: &&SocketAddr| match &client.options.allow {
            Some(allow) => allow(address),
            None => true,
        };
        self.addresses = found.iter().filter(is_allowed).copied().collect();
        match found.first() {
            Some(first) if self.addresses.is_empty() => {
                self.fail(el, ClientCause::NotAllowed(*first));
            }
            _ => self.call_next(el, &client, None),
        }
    }

    /// Calls the next address. The time that is left is shared by those that are left.
    fn call_next(mut self, el: &mut EventLoop, client: &Client, last: Option<ConnectError>) {
        let Some(address) = self.addresses.pop_front() else {
            let cause = self.failure(client, last);
            return self.fail(el, cause);
        };
        let left = self.until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(self.addresses.len() + 1).unwrap_or(u32::MAX);
        let mut options = client.options.connection.clone();
        options.handshake = options.handshake.min(left + AFTER_THE_REQUEST);
        let mut connect = Connect::to(Endpoint::Ip(address))
            .timeout(share.max(Duration::from_millis(1)))
            .options(options);
        if self.is_https {
            let Some(tls) = client.options.tls.clone() else {
                return self.fail(el, ClientCause::NoTls);
            };
            // No certificate names the root of all names.
            let name = self.host.strip_suffix('.').unwrap_or(&self.host);
            connect = connect.tls(tls, Some(name.to_owned()));
        }
        let job = self.job.clone();
        let connecting = el.connect(connect, move |el, outcome| self.called(el, outcome));
        if let Some(job) = job.and_then(|job| job.upgrade()) {
            job.is_dialing(connecting);
        }
    }

    fn called(
        self,
        el: &mut EventLoop,
        outcome: Result<Connected, ConnectError>,
    ) -> Option<Box<dyn Handler>> {
        let Some(client) = self.wanted() else {
            self.give_up(el);
            return None;
        };
        match outcome {
            Ok(_) => {
                let job = self.job.and_then(|job| job.upgrade());
                if let Some(job) = &job {
                    job.is_opening();
                }
                Some(Box::new(Line::new(self.seat, job)))
            }
            Err(error) => {
                self.call_next(el, &client, Some(error));
                None
            }
        }
    }

    fn failure(&self, client: &Client, last: Option<ConnectError>) -> ClientCause {
        match last {
            Some(ConnectError { cause: ConnectCause::TimedOut(_), .. }) => {
                ClientCause::TimedOut(ClientTimeout::Connecting, client.options.connect_within)
            }
            Some(error) => ClientCause::Connect(Box::new(error)),
            None => {
                let host = self.host.clone();
                ResolveError::Unknown { host, why: "it has no address".into() }.into()
            }
        }
    }

    /// The client, while somebody waits for the connection.
    fn wanted(&self) -> Option<Rc<Client>> {
        let is_over = |job: &Weak<Job>| job.upgrade().is_none_or(|job| job.is_over());
        if self.job.as_ref().is_some_and(is_over) {
            return None;
        }
        self.seat.client.upgrade()
    }

    fn fail(self, el: &mut EventLoop, cause: ClientCause) {
        match self.job.as_ref().and_then(Weak::upgrade) {
            Some(job) => {
                self.give_up(el);
                job.fail_apart(el, cause);
            }
            None => {
                tracing::debug!(origin = %self.seat.origin, %cause, "no connection for the pool");
                self.give_up(el);
            }
        }
    }

    /// Leaves the seat to whoever waits for one.
    fn give_up(self, el: &mut EventLoop) {
        let (client, origin) = (self.seat.client.upgrade(), Rc::clone(&self.seat.origin));
        drop(self);
        if let Some(client) = client {
            client.serve_waiting(el, &origin);
        }
    }
}
