//! Other nodes as they announce themselves, and which streams are live there; the same on all loops.
//!
//! A node is known until its time is over, unless it announces itself again. Loop 0 decides, so that all
//! loops hear the same in the same order; what is read here asks nobody.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashSet;
use network::EventLoop;

use crate::hub::Hub;
use crate::limits;
use crate::name::StreamName;

/// The loop that decides, and that announces this node.
pub(crate) const DECIDES: usize = 0;

/// Another node.
#[derive(Debug)]
pub struct Node {
    /// Its name among others.
    pub name: Box<str>,
    /// Where players find it.
    pub url: Box<str>,
    /// The busy share of its loops.
    pub load: f64,
    /// It is forgotten by then.
    pub until: Instant,
    /// What is live there.
    pub streams: HashSet<StreamName>,
}

impl Node {
    /// The name in small letters: by that it is known.
    pub fn key(&self) -> Box<str> {
        self.name.to_ascii_lowercase().into()
    }
}

/// A node's name: one or more letters, digits, dots, dashes and underscores, as host names have.
pub fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=limits::NODE_NAME).contains(&name.len()) && name.bytes().all(letter)
}

/// The nodes that are known.
#[derive(Default)]
pub struct Nodes {
    nodes: RefCell<BTreeMap<Box<str>, Arc<Node>>>,
    /// Counts the changes.
    version: Cell<u64>,
}

impl Nodes {
    /// Another one when anything has changed.
    pub fn version(&self) -> u64 {
        self.version.get()
    }

    /// The node of this name, which is in small letters.
    pub fn find(&self, key: &str) -> Option<Arc<Node>> {
        self.nodes.borrow().get(key).cloned()
    }

    /// The node that has a stream: this one where it has it, else that with the least load.
    pub fn with_stream(&self, stream: &StreamName, asked: Option<&str>) -> Option<Arc<Node>> {
        let nodes = self.nodes.borrow();
        let has = |node: &&Arc<Node>| node.streams.contains(stream);
        let asked = asked.and_then(|asked| nodes.get(asked)).filter(has);
        let least = || nodes.values().filter(has).min_by(|a, b| a.load.total_cmp(&b.load));
        asked.or_else(least).cloned()
    }

    /// All of them, in the order of their names in small letters.
    pub fn all(&self) -> Vec<Arc<Node>> {
        self.nodes.borrow().values().cloned().collect()
    }

    /// There is no room for this one.
    fn is_full_for(&self, node: &Node) -> bool {
        let (key, nodes) = (node.key(), self.nodes.borrow());
        let others = || nodes.iter().filter(|(other, _)| **other != key);
        let streams: usize = others().map(|(_, other)| other.streams.len()).sum();
        others().count() >= limits::NODES
            || streams.saturating_add(node.streams.len()) > limits::STREAMS_OF_NODES
    }

    fn note(&self, node: Arc<Node>) {
        self.version.set(self.version.get() + 1);
        self.nodes.borrow_mut().insert(node.key(), node);
    }

    fn forget(&self, key: &str) -> bool {
        self.version.set(self.version.get() + 1);
        self.nodes.borrow_mut().remove(key).is_some()
    }

    /// Forgets those whose time is over.
    pub(crate) fn forget_old(&self, now: Instant) {
        let mut nodes = self.nodes.borrow_mut();
        let before = nodes.len();
        nodes.retain(|_, node| node.until > now);
        if nodes.len() < before {
            self.version.set(self.version.get() + 1);
        }
    }
}

impl Hub {
    /// Has all loops know a node; to be called on the loop that decides. False where there are too many.
    pub(crate) fn note_node(self: &Rc<Self>, el: &mut EventLoop, node: &Arc<Node>) -> bool {
        if self.nodes.is_full_for(node) {
            return false;
        }
        self.nodes.note(Arc::clone(node));
        self.on_others(el, || {
            let node = Arc::clone(node);
            move |hub: &Rc<Hub>| hub.nodes.note(node)
        });
        true
    }

    /// Has all loops forget a node, by its name in small letters; to be called on the loop that decides.
    /// False where nobody knows it.
    pub(crate) fn forget_node(self: &Rc<Self>, el: &mut EventLoop, key: &str) -> bool {
        let was_known = self.nodes.forget(key);
        self.on_others(el, || {
            let key = key.to_owned();
            move |hub: &Rc<Hub>| {
                hub.nodes.forget(&key);
            }
        });
        was_known
    }

    fn on_others<T: FnOnce(&Rc<Hub>) + Send + 'static>(
        self: &Rc<Self>,
        el: &mut EventLoop,
        make: impl Fn() -> T,
    ) {
        for place in (0..self.loop_count()).filter(|place| *place != self.place()) {
            let task = make();
            self.on(el, place, move |hub, _| task(hub));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(name: &str, load: f64, streams: &[&str]) -> Arc<Node> {
        Arc::new(Node {
            name: name.into(),
            url: "http://h".into(),
            load,
            until: Instant::now() + Duration::from_secs(10),
            streams: streams.iter().map(|name| StreamName::parse(name).unwrap()).collect(),
        })
    }

    #[test]
    fn nodes_have_plain_names() {
        for good in ["edge240", "a.example.org", "x_1"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a b", "a\r\nX: y", "a\"b", "ü", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_asked_node_has_it_or_the_one_with_the_least_load() {
        let nodes = Nodes::default();
        for node in [node("A", 0.9, &["s", "t"]), node("b", 0.5, &["s"]), node("c", 0.1, &["u"])] {
            nodes.note(node);
        }
        let found = |stream: &str, asked| {
            let name = StreamName::parse(stream).unwrap();
            nodes.with_stream(&name, asked).map(|node| node.name.to_string())
        };
        assert_eq!(found("s", Some("a")).unwrap(), "A");
        assert_eq!(found("s", Some("c")).unwrap(), "b");
        assert_eq!(found("s", None).unwrap(), "b");
        assert_eq!(found("t", Some("b")).unwrap(), "A");
        assert_eq!(found("x", Some("a")), None);
    }

    #[test]
    fn each_change_has_a_version_and_time_is_one() {
        let nodes = Nodes::default();
        nodes.note(node("a", 0.0, &[]));
        nodes.note(node("A", 0.0, &["s"]));
        assert_eq!((nodes.version(), nodes.all().len()), (2, 1));
        nodes.forget_old(Instant::now());
        assert_eq!((nodes.version(), nodes.all().len()), (2, 1));
        nodes.forget_old(Instant::now() + Duration::from_secs(11));
        assert_eq!((nodes.version(), nodes.all().len()), (3, 0));
    }

    #[test]
    fn one_that_is_known_has_room_where_another_has_none() {
        let nodes = Nodes::default();
        for number in 0..limits::NODES {
            let node = node(&format!("n{number}"), 0.0, &[]);
            assert!(!nodes.is_full_for(&node));
            nodes.note(node);
        }
        assert!(nodes.is_full_for(&node("another", 0.0, &[])));
        assert!(!nodes.is_full_for(&node("N7", 0.0, &["s"])));
    }

    #[test]
    fn so_many_streams_are_known_of_all_nodes_together() {
        let nodes = Nodes::default();
        let names = (0..limits::NODE_STREAMS).map(|n| StreamName::parse(&n.to_string()).unwrap());
        let streams: HashSet<StreamName> = names.collect();
        let with_all = |name: &str| {
            let node = Arc::into_inner(node(name, 0.0, &[])).unwrap();
            Arc::new(Node { streams: streams.clone(), ..node })
        };
        for number in 0..limits::STREAMS_OF_NODES / limits::NODE_STREAMS {
            let node = with_all(&format!("n{number}"));
            assert!(!nodes.is_full_for(&node));
            nodes.note(node);
        }
        assert!(nodes.is_full_for(&node("another", 0.0, &["s"])));
        assert!(!nodes.is_full_for(&node("another", 0.0, &[])));
        assert!(!nodes.is_full_for(&with_all("n7")));
    }
}
