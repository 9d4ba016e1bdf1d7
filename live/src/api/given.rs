//! Answers to lookups as they were given, for who asks the same again before anything has changed: most
//! lookups of an event are of few streams, by few programs.

use std::cell::{Ref, RefCell};
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use network::Reach;
use network::http::Request;

use super::guard::FORWARDED;
use super::{Api, Load};
use crate::limits;

/// The answers of a loop, each at a place that its query says.
#[derive(Default)]
pub(super) struct Given {
    hasher: DefaultHashBuilder,
    places: RefCell<Vec<Answer>>,
}

#[derive(Default)]
struct Answer {
    query: String,
    host: String,
    from: Option<(Reach, bool)>,
    version: (u64, Load),
    /// That of the other nodes, where these have a part in it.
    nodes: Option<u64>,
    body: Vec<u8>,
}

/// All of a request that its answer follows from, and who may have it; only for requests where no
/// token, proxy or page of somebody has a part in that.
pub(super) struct Plain<'a> {
    query: &'a str,
    host: &'a str,
    from: (Reach, bool),
    /// Changes with what answers tell of.
    version: (u64, Load),
    nodes: u64,
}

impl<'a> Plain<'a> {
    pub(super) fn of(api: &Api, request: &Request<'a>) -> Option<Self> {
        let mut host = None;
        for (name, value) in request.headers().iter() {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("Host") {
                host = Some(std::str::from_utf8(value).ok()?);
            } else if is("Origin") || is("Authorization") || FORWARDED.iter().any(|name| is(name)) {
                return None;
            }
        }
        let reach = request.peer().map_or(Reach::Loopback, |peer| Reach::of(peer.ip()));
        let query = request.target().query.filter(|query| query.len() <= limits::PARAMETER)?;
        let version = (api.hub.directory.version(), api.load.get());
        let nodes = api.hub.nodes.version();
        Some(Self { query, host: host?, from: (reach, request.is_tls()), version, nodes })
    }
}

impl Given {
    fn place(&self, plain: &Plain<'_>) -> usize {
        usize::try_from(self.hasher.hash_one(plain.query)).unwrap_or(0) % limits::LOOKUPS_KEPT
    }

    /// The body that was given to who asked the same.
    pub(super) fn find(&self, plain: &Plain<'_>) -> Option<Ref<'_, [u8]>> {
        let answer = Ref::filter_map(self.places.borrow(), |places| {
            places.get(self.place(plain)).filter(|answer| {
                answer.version == plain.version
                    && answer.nodes.is_none_or(|nodes| nodes == plain.nodes)
                    && answer.query == plain.query
                    && answer.host == plain.host
                    && answer.from == Some(plain.from)
            })
        });
        answer.ok().map(|answer| Ref::map(answer, |answer| &*answer.body))
    }

    /// Remembers what is given, and whether other nodes have a part in it.
    pub(super) fn keep(&self, plain: &Plain<'_>, has_nodes: bool, body: &[u8]) {
        let mut places = self.places.borrow_mut();
        places.resize_with(limits::LOOKUPS_KEPT, Answer::default);
        let place = self.place(plain);
        if let Some(answer) = places.get_mut(place) {
            answer.query.clear();
            answer.query.push_str(plain.query);
            answer.host.clear();
            answer.host.push_str(plain.host);
            answer.body.clear();
            answer.body.extend_from_slice(body);
            (answer.from, answer.version) = (Some(plain.from), plain.version);
            answer.nodes = has_nodes.then_some(plain.nodes);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_is_given_again_and_only_while_it_is_true() {
        let given = Given::default();
        let plain = |query, host, reach, is_tls| Plain {
            query,
            host,
            from: (reach, is_tls),
            version: (7, *b"0.123"),
            nodes: 1,
        };
        let mut asked = plain("streamname=a", "h", Reach::Loopback, false);
        assert!(given.find(&asked).is_none());
        given.keep(&asked, false, b"{}");
        asked.nodes = 2;
        assert_eq!(&*given.find(&asked).unwrap(), b"{}");
        for other in [
            plain("streamname=b", "h", Reach::Loopback, false),
            plain("streamname=a", "i", Reach::Loopback, false),
            plain("streamname=a", "h", Reach::Public, false),
            plain("streamname=a", "h", Reach::Loopback, true),
        ] {
            assert!(given.find(&other).is_none());
        }
        for version in [(8, *b"0.123"), (8, *b"0.124")] {
            asked.version = version;
            assert!(given.find(&asked).is_none());
            given.keep(&asked, true, b"[]");
            assert_eq!(&*given.find(&asked).unwrap(), b"[]");
        }
        asked.nodes = 3;
        assert!(given.find(&asked).is_none());
    }
}
