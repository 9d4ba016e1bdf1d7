//! From a method and a path to a value, without allocating.
//!
//! A pattern is made of segments: literal text, `{name}` for any one segment that is not empty, or
//! at the end `{*name}` for all that follows, slashes included, which may be nothing. Patterns of
//! literals alone are one hash lookup. The others form a tree, searched from left to right: a
//! literal wins over a parameter, a parameter over a rest. The most specific path decides first,
//! the method after it: a path with GET alone answers 405 to POST even if a wider one has POST.
//!
//! Paths are compared as the peer wrote them. An encoded letter in a literal matches nothing, and
//! parameters are handed out encoded: [`Params::decoded`] decodes them safely.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::method::{Method, MethodSet};
use super::status::HttpError;
use super::target::safe_segment;
use crate::limits;

/// A table of routes, filled at the start and then only read.
#[derive(Debug)]
pub struct Router<T> {
    exact: HashMap<Box<str>, Endpoint<T>>,
    /// The tree of the patterns with parameters; the first node is its root.
    nodes: Vec<Node<T>>,
    methods: MethodSet,
}

/// What a pattern leads to, by method.
#[derive(Debug)]
struct Endpoint<T> {
    routes: Vec<Route<T>>,
    methods: MethodSet,
}

#[derive(Debug)]
struct Route<T> {
    method: Method,
    /// Names of the parameters, in their order in the pattern.
    names: Box<[Box<str>]>,
    value: T,
}

#[derive(Debug)]
struct Node<T> {
    /// Looked through one by one: behind one segment there are few.
    literals: Vec<(Box<str>, usize)>,
    param: Option<usize>,
    /// For a path that ends here.
    end: Endpoint<T>,
    /// For a path of which anything may follow here.
    rest: Endpoint<T>,
}

/// What a method and a path lead to.
#[derive(Debug)]
pub enum Lookup<'r, 'p, T> {
    /// A route.
    Found {
        /// What was added for it.
        value: &'r T,
        /// The values of its parameters.
        params: Params<'r, 'p>,
    },
    /// No pattern fits the path: 404.
    NotFound,
    /// The path is known, the method is not among its own: 405.
    MethodNotAllowed {
        /// The value of the `Allow` header that belongs to the answer.
        allow: MethodSet,
    },
    /// OPTIONS for a path without a route for it: 204 with `Allow`.
    Options {
        /// The value of the `Allow` header.
        allow: MethodSet,
    },
}

/// The parameters of a path, borrowed from it.
#[derive(Debug, Clone, Copy)]
pub struct Params<'r, 'p> {
    names: &'r [Box<str>],
    values: Values<'p>,
}

#[derive(Debug, Clone, Copy)]
struct Values<'p> {
    values: [&'p str; limits::HTTP_ROUTE_PARAMS],
    len: usize,
}

/// Why a pattern was refused. The fault is that of the program that adds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("caller at fault: route {method} {pattern}: {reason}")]
pub struct RouteError {
    /// The method of the route.
    pub method: Method,
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl<T> Router<T> {
    /// A table without routes.
    pub fn new() -> Router<T> {
        Router { exact: HashMap::new(), nodes: vec![Node::new()], methods: MethodSet::EMPTY }
    }

    /// Adds a route such as `/api/v1/streams/{app}/{name}` or `/static/{*file}`.
    ///
    /// A route for GET answers HEAD too, unless HEAD has its own.
    pub fn add(&mut self, method: Method, pattern: &str, value: T) -> Result<(), RouteError> {
        let added = self.try_add(method, pattern, value);
        added.map_err(|reason| RouteError { method, pattern: pattern.to_owned(), reason })
    }

    fn try_add(&mut self, method: Method, pattern: &str, value: T) -> Result<(), &'static str> {
        let path = pattern.strip_prefix('/').ok_or("a pattern begins with a slash")?;
        let names = check_pattern(path)?;
        let endpoint = if names.is_empty() {
            self.exact.entry(pattern.into()).or_insert_with(Endpoint::new)
        } else {
            self.endpoint(path)
        };
        endpoint.add(method, names, value)?;
        let methods = endpoint.methods;
        self.methods = self.methods.union(methods);
        Ok(())
    }

    /// The end of a checked pattern in the tree, which grows to hold it.
    fn endpoint(&mut self, path: &str) -> &mut Endpoint<T> {
        let mut at = 0;
        for segment in path.split('/') {
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match Segment::read(segment) {
                Segment::Rest(_) => return &mut self.nodes[at].rest,
                Segment::Param(_) => *node.param.get_or_insert(next),
                Segment::Literal(text) => node.literal(text).unwrap_or_else(|| {
                    node.literals.push((text.into(), next));
                    next
                }),
            };
            if at == next {
                self.nodes.push(Node::new());
            }
        }
        &mut self.nodes[at].end
    }

    /// What this method and this path, which is without its query, lead to.
    pub fn lookup<'r, 'p>(&'r self, method: Method, path: &'p str) -> Lookup<'r, 'p, T> {
        let mut values = Values::new();
        let found = match self.exact.get(path) {
            Some(endpoint) => Some(endpoint),
            None => {
                path.strip_prefix('/').and_then(|path| self.descend(0, Some(path), &mut values))
            }
        };
        match found {
            Some(endpoint) => endpoint.select(method, values),
            None if path == "*" && method == Method::Options => {
                Lookup::Options { allow: self.methods }
            }
            None => Lookup::NotFound,
        }
    }

    /// Searches below one node. A node of the tree is visited once at most, because its depth says
    /// which segment it is compared with: the work is bounded by the routes, not by the path.
    fn descend<'r, 'p>(
        &'r self,
        at: usize,
        path: Option<&'p str>,
        values: &mut Values<'p>,
    ) -> Option<&'r Endpoint<T>> {
        let node = self.nodes.get(at)?;
        let Some(path) = path else {
            return node.end.if_any();
        };
        let (segment, after) = match path.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (path, None),
        };
        if let Some(literal) = node.literal(segment) {
            let found = self.descend(literal, after, values);
            if found.is_some() {
                return found;
            }
        }
        if let Some(param) = node.param
            && !segment.is_empty()
        {
            let before = values.len;
            values.push(segment);
            let found = self.descend(param, after, values);
            if found.is_some() {
                return found;
            }
            values.len = before;
        }
        let rest = node.rest.if_any()?;
        values.push(path);
        Some(rest)
    }
}

impl<T> Default for Router<T> {
    fn default() -> Router<T> {
        Router::new()
    }
}

impl<T> Endpoint<T> {
    fn new() -> Endpoint<T> {
        Endpoint { routes: Vec::new(), methods: MethodSet::EMPTY }
    }

    fn if_any(&self) -> Option<&Endpoint<T>> {
        (!self.routes.is_empty()).then_some(self)
    }

    fn add(
        &mut self,
        method: Method,
        names: Box<[Box<str>]>,
        value: T,
    ) -> Result<(), &'static str> {
        if self.route(method).is_some() {
            return Err("there is a route for this method and path already");
        }
        self.routes.push(Route { method, names, value });
        self.methods = self.methods.with(method).with(Method::Options);
        if method == Method::Get {
            self.methods = self.methods.with(Method::Head);
        }
        Ok(())
    }

    fn route(&self, method: Method) -> Option<&Route<T>> {
        self.routes.iter().find(|route| route.method == method)
    }

    fn select<'r, 'p>(&'r self, method: Method, values: Values<'p>) -> Lookup<'r, 'p, T> {
        let route = match self.route(method) {
            None if method == Method::Head => self.route(Method::Get),
            route => route,
        };
        match route {
            Some(route) => Lookup::Found {
                value: &route.value,
                params: Params { names: &route.names, values },
            },
            None if method == Method::Options => Lookup::Options { allow: self.methods },
            None => Lookup::MethodNotAllowed { allow: self.methods },
        }
    }
}

impl<T> Node<T> {
    fn new() -> Node<T> {
        Node { literals: Vec::new(), param: None, end: Endpoint::new(), rest: Endpoint::new() }
    }

    /// The node behind this literal segment.
    fn literal(&self, segment: &str) -> Option<usize> {
        let mut literals = self.literals.iter();
        literals.find(|(text, _)| **text == *segment).map(|(_, node)| *node)
    }
}

impl<'p> Params<'_, 'p> {
    /// The value of a parameter as the peer wrote it, still encoded.
    pub fn get(&self, name: &str) -> Option<&'p str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The value of a parameter decoded, through [`safe_segment`]; not for a rest, which has
    /// several segments ([`safe_segments`](super::target::safe_segments) takes those).
    pub fn decoded(&self, name: &str) -> Result<Option<Cow<'p, str>>, HttpError> {
        self.get(name).map(safe_segment).transpose()
    }

    /// Names and values, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'p str)> {
        let values = self.values.values.iter().take(self.values.len);
        self.names.iter().map(|name| &**name).zip(values.copied())
    }
}

impl<'p> Values<'p> {
    fn new() -> Values<'p> {
        Values { values: [""; limits::HTTP_ROUTE_PARAMS], len: 0 }
    }

    /// Patterns with more parameters than there is room for are refused when they are added.
    fn push(&mut self, value: &'p str) {
        if let Some(place) = self.values.get_mut(self.len) {
            *place = value;
            self.len += 1;
        }
    }
}

/// One segment of a pattern.
enum Segment<'a> {
    Literal(&'a str),
    Param(&'a str),
    Rest(&'a str),
}

impl<'a> Segment<'a> {
    fn read(segment: &'a str) -> Segment<'a> {
        let inside = segment.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        match inside {
            None => Segment::Literal(segment),
            Some(name) => match name.strip_prefix('*') {
                Some(name) => Segment::Rest(name),
                None => Segment::Param(name),
            },
        }
    }
}

/// Checks a pattern, which is without its first slash; the names of its parameters.
fn check_pattern(path: &str) -> Result<Box<[Box<str>]>, &'static str> {
    let mut names: Vec<Box<str>> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let name = match Segment::read(segment) {
            Segment::Literal("") if !is_last => return Err("a segment is empty"),
            Segment::Literal(text) => {
                let sendable = |byte: u8| (0x21..=0x7e).contains(&byte);
                if !text.bytes().all(sendable) || text.contains(['{', '}', '*', '?', '#']) {
                    return Err(
                        "a literal segment holds a brace, a star or a byte that no path has",
                    );
                }
                continue;
            }
            Segment::Rest(_) if !is_last => return Err("{*rest} is not the last segment"),
            Segment::Rest(name) | Segment::Param(name) => name,
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err("a parameter's name is not made of letters, digits and _");
        }
        if names.iter().any(|other| **other == *name) {
            return Err("two parameters have one name");
        }
        if names.len() == limits::HTTP_ROUTE_PARAMS {
            return Err("too many parameters");
        }
        names.push(name.into());
    }
    Ok(names.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn router(routes: &[(Method, &str)]) -> Router<usize> {
        let mut router = Router::new();
        for (index, (method, pattern)) in routes.iter().enumerate() {
            router.add(*method, pattern, index).unwrap();
        }
        router
    }

    fn found(router: &Router<usize>, method: Method, path: &str) -> (usize, Vec<(String, String)>) {
        match router.lookup(method, path) {
            Lookup::Found { value, params } => {
                let params = params.iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
                (*value, params.collect())
            }
            other => panic!("{method} {path}: {other:?}"),
        }
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn literals_beat_parameters_and_parameters_beat_rests() {
        use Method::Get;
        let router = router(&[
            (Get, "/"),
            (Get, "/live/{*file}"),
            (Get, "/live/{app}/{name}"),
            (Get, "/live/a/{other}"),
            (Get, "/live/a/b"),
            (Get, "/live/{app}/b/c"),
            (Get, "/live/{app}/{name}/"),
        ]);
        for (path, index, params) in [
            ("/", 0, &[][..]),
            ("/live/a/b", 4, &[]),
            ("/live/a/c", 3, &[("other", "c")]),
            ("/live/x/b", 2, &[("app", "x"), ("name", "b")]),
            ("/live/a/b/c", 5, &[("app", "a")]),
            ("/live/x/y/", 6, &[("app", "x"), ("name", "y")]),
            ("/live/a/b/", 6, &[("app", "a"), ("name", "b")]),
            ("/live/a/b/d", 1, &[("file", "a/b/d")]),
            ("/live/a", 1, &[("file", "a")]),
            ("/live/", 1, &[("file", "")]),
            ("/live//b", 1, &[("file", "/b")]),
            ("/live/%2e%2e/b", 2, &[("app", "%2e%2e"), ("name", "b")]),
        ] {
            assert_eq!(found(&router, Get, path), (index, pairs(params)), "{path}");
        }
        for path in ["", "*", "/live", "//", "live/a/b", "/LIVE/a/b", "/%6cive/a"] {
            assert!(matches!(router.lookup(Get, path), Lookup::NotFound), "{path}");
        }
    }

    #[test]
    fn the_path_decides_before_the_method() {
        let router = router(&[
            (Method::Get, "/a/b"),
            (Method::Put, "/a/b"),
            (Method::Post, "/a/{x}"),
            (Method::Get, "/h/{x}"),
            (Method::Head, "/h/{y}"),
            (Method::Options, "/o"),
        ]);
        let allow = match router.lookup(Method::Post, "/a/b") {
            Lookup::MethodNotAllowed { allow } => allow,
            other => panic!("{other:?}"),
        };
        let mut text = Vec::new();
        allow.write_list(&mut text);
        assert_eq!(text, b"GET, HEAD, PUT, OPTIONS");

        assert_eq!(found(&router, Method::Head, "/a/b").0, 0);
        assert_eq!(found(&router, Method::Head, "/h/1"), (4, pairs(&[("y", "1")])));
        assert_eq!(found(&router, Method::Get, "/h/1"), (3, pairs(&[("x", "1")])));
        assert_eq!(found(&router, Method::Options, "/o").0, 5);
        assert!(matches!(
            router.lookup(Method::Options, "/a/x"),
            Lookup::Options { allow } if allow.iter().eq([Method::Post, Method::Options])
        ));
        assert!(matches!(
            router.lookup(Method::Options, "*"),
            Lookup::Options { allow } if allow.iter().count() == 5
        ));
        assert!(matches!(router.lookup(Method::Head, "/o"), Lookup::MethodNotAllowed { .. }));
    }

    #[test]
    fn parameters_are_decoded_safely() {
        let router = router(&[(Method::Get, "/s/{name}")]);
        let decoded = |path| match router.lookup(Method::Get, path) {
            Lookup::Found { params, .. } => params.decoded("name").map(|name| name.unwrap()),
            other => panic!("{other:?}"),
        };
        assert_eq!(decoded("/s/a%20b").unwrap(), "a b");
        for path in ["/s/..", "/s/%2e%2e", "/s/a%2fb", "/s/%00"] {
            assert_eq!(decoded(path).unwrap_err().status.as_u16(), 400, "{path}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        let mut router = Router::new();
        router.add(Method::Get, "/a/{b}", ()).unwrap();
        for pattern in [
            "",
            "a",
            "/a/{c}",
            "/a//b",
            "//",
            "/{}",
            "/{*}",
            "/{*a}/b",
            "/{a}/{a}",
            "/{a-b}",
            "/{a}.flv",
            "/x*",
            "/a b",
            "/a?b",
            "/1/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}",
        ] {
            let error = router.add(Method::Get, pattern, ()).unwrap_err();
            assert_eq!(error.pattern, pattern);
        }
        router.add(Method::Get, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{*h}", ()).unwrap();
        assert!(matches!(
            router.lookup(Method::Get, "/1/2/3/4/5/6/7/8/9"),
            Lookup::Found { params, .. } if params.get("h") == Some("8/9")
        ));
        let error = router.add(Method::Get, "/a/{z}", ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "caller at fault: route GET /a/{z}: there is a route for this method and path already"
        );
    }

    /// True if the pattern fits the path, and how specific it is, segment by segment.
    fn fits(pattern: &str, path: &str) -> Option<Vec<u8>> {
        let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
        let mut ranks = Vec::new();
        loop {
            match (pattern.next(), path.next()) {
                (None, None) => return Some(ranks),
                (Some("{*r}"), Some(_)) => {
                    ranks.push(2);
                    return Some(ranks);
                }
                (Some("{p}" | "{q}"), Some(segment)) if !segment.is_empty() => ranks.push(1),
                (Some(literal), Some(segment)) if literal == segment => ranks.push(0),
                _ => return None,
            }
        }
    }

    proptest! {
        #[test]
        fn the_most_specific_pattern_wins(
            patterns in proptest::collection::vec("(/(a|b)){0,2}(/\\{p\\})?(/(a|b)){0,1}(/\\{q\\})?(/|/\\{\\*r\\})?", 1..12),
            paths in proptest::collection::vec("(/(a|b|c|)){1,5}", 1..20),
        ) {
            let mut router = Router::new();
            let mut added = Vec::new();
            for pattern in patterns {
                if router.add(Method::Get, &pattern, pattern.clone()).is_ok() {
                    added.push(pattern);
                }
            }
            for path in paths {
                let candidates = added.iter().filter_map(|p| fits(p, &path).map(|rank| (rank, p)));
                let best = candidates.min().map(|(_, pattern)| {
                    pattern.replace("{q}", "{p}")
                });
                let got = match router.lookup(Method::Get, &path) {
                    Lookup::Found { value, .. } => Some(value.replace("{q}", "{p}")),
                    _ => None,
                };
                prop_assert_eq!(got, best, "{} in {:?}", path, added);
            }
        }
    }
}
