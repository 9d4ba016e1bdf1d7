//! Request methods, and sets of them for `Allow`.

use std::fmt;

/// The methods this crate understands.
///
/// A method outside this list never reaches a handler: the head parser refuses it
/// with 501, because nothing is known about what it would do or whether it is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Method {
    /// Read a resource.
    Get,
    /// GET without the body of the answer.
    Head,
    /// Hand something to a resource.
    Post,
    /// Replace a resource.
    Put,
    /// Remove a resource.
    Delete,
    /// Ask what is allowed.
    Options,
    /// Change a part of a resource.
    Patch,
    /// Open a tunnel.
    Connect,
    /// Echo the request.
    Trace,
}

impl Method {
    /// Every method, in the order `Allow` lists them.
    pub const ALL: [Method; 9] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Options,
        Method::Patch,
        Method::Connect,
        Method::Trace,
    ];

    /// The method a request line names; names are case-sensitive, `None` is an unknown one.
    #[inline]
    pub fn from_bytes(name: &[u8]) -> Option<Method> {
        Some(match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"PATCH" => Method::Patch,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            _ => return None,
        })
    }

    /// The name as it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Connect => "CONNECT",
            Method::Trace => "TRACE",
        }
    }

    /// True if sending the request twice does what sending it once does (RFC 9110 9.2.2), so that
    /// a client may repeat it when a kept connection turns out to be closed.
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Method::Post | Method::Patch | Method::Connect)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of methods: what a path allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodSet(u16);

impl MethodSet {
    /// The set without members.
    pub const EMPTY: MethodSet = MethodSet(0);

    /// This set and one method more.
    pub const fn with(self, method: Method) -> MethodSet {
        MethodSet(self.0 | method.bit())
    }

    /// The members of either set.
    pub const fn union(self, other: MethodSet) -> MethodSet {
        MethodSet(self.0 | other.0)
    }

    /// True if the method is a member.
    pub const fn contains(self, method: Method) -> bool {
        self.0 & method.bit() != 0
    }

    /// True if there is no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in the order of [`Method::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Method> {
        Method::ALL.into_iter().filter(move |method| self.contains(*method))
    }

    /// Appends the members as the value of an `Allow` header: `GET, HEAD`.
    pub fn write_list(self, out: &mut Vec<u8>) {
        for (index, method) in self.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(method.as_str().as_bytes());
        }
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> MethodSet {
        methods.into_iter().fold(MethodSet::EMPTY, MethodSet::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for method in Method::ALL {
            assert_eq!(Method::from_bytes(method.as_str().as_bytes()), Some(method));
        }
        for unknown in ["get", "GETT", "GE", "", "PROPFIND", "PRI", "GET\0"] {
            assert_eq!(Method::from_bytes(unknown.as_bytes()), None, "{unknown:?}");
        }
    }

    #[test]
    fn sets_list_their_members_in_order() {
        let set: MethodSet = [Method::Options, Method::Get, Method::Head].into_iter().collect();
        let mut out = Vec::new();
        set.write_list(&mut out);
        assert_eq!(out, b"GET, HEAD, OPTIONS");
        assert!(set.contains(Method::Head) && !set.contains(Method::Post));
        assert!(MethodSet::EMPTY.is_empty() && !set.is_empty());
        let both = set.union(MethodSet::EMPTY.with(Method::Trace));
        assert_eq!(both.iter().count(), 4);
    }
}
