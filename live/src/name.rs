//! Names of streams: one grammar for all doors.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::limits;

/// The app of streams that are named without one.
pub const DEFAULT_APP: &str = "live";

/// `APP/NAME`, such as `live/talk`. An app may have slashes in it, so what counts is the whole path:
/// an encoder that is told the server `rtmp://host/a` and the key `b/c` means `a/b/c`, as does one that
/// is told `rtmp://host/a/b` and `c`.
///
/// A segment is made of letters and digits of any script and of `-_.~@+=,:!`, and does not begin with a
/// dot. So a name is safe in a path, in a URL, in a log line and in JSON.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

/// What is wrong with a name. The peer is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NameError {
    /// There is none.
    #[error("the stream has no name; expected APP/NAME, such as live/talk")]
    Empty,
    /// It is too long.
    #[error("the stream's name has {0} bytes, at most {max} are taken", max = limits::NAME)]
    Long(usize),
    /// It has too many slashes.
    #[error("the stream's name has more than {max} parts", max = limits::NAME_PARTS)]
    Parts,
    /// One of its parts begins with a dot, or there is nothing between two slashes.
    #[error("a part of the stream's name is empty or begins with a dot")]
    Part,
    /// It has a character that does not belong there.
    #[error("the stream's name has the character {0:?}; letters, digits and -_.~@+=,:! are taken")]
    Character(char),
}

impl StreamName {
    /// From an app, which may be empty, and a name.
    ///
    /// # Errors
    /// They make no name.
    pub fn new(app: &str, name: &str) -> Result<Self, NameError> {
        let (app, name) = (app.trim_matches('/'), name.trim_matches('/'));
        match (app, name) {
            (_, "") => Err(NameError::Empty),
            ("", name) => Self::parse(name),
            (app, name) => Self::parse(&format!("{app}/{name}")),
        }
    }

    /// From a path; one without a slash is a name in the default app.
    ///
    /// # Errors
    /// It is no name.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Err(NameError::Empty);
        }
        if path.len() > limits::NAME {
            return Err(NameError::Long(path.len()));
        }
        let mut parts = 0;
        for part in path.split('/') {
            parts += 1;
            if parts > limits::NAME_PARTS {
                return Err(NameError::Parts);
            }
            if part.is_empty() || part.starts_with('.') {
                return Err(NameError::Part);
            }
            let strange = |c: &char| !(c.is_alphanumeric() || "-_.~@+=,:!".contains(*c));
            if let Some(c) = part.chars().find(strange) {
                return Err(NameError::Character(c));
            }
        }
        Ok(Self(match parts {
            1 => format!("{DEFAULT_APP}/{path}").into(),
            _ => path.into(),
        }))
    }

    /// The whole path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the last slash.
    #[must_use]
    pub fn app(&self) -> &str {
        self.0.rsplit_once('/').map_or(DEFAULT_APP, |(app, _)| app)
    }

    /// What stands behind the last slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// A number that is the same for this name on every loop.
    #[must_use]
    pub fn spread(&self) -> usize {
        // FNV-1a: short names, and nobody gains by choosing where a stream lives.
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let hash = self.0.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
        (hash ^ (hash >> 32)) as usize
    }
}

impl std::borrow::Borrow<str> for StreamName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&StreamName> for StreamName {
    fn from(name: &StreamName) -> Self {
        name.clone()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_stream_has_one_name_however_it_is_cut() {
        let one = StreamName::new("a/b", "c").unwrap();
        assert_eq!(one, StreamName::new("a", "b/c").unwrap());
        assert_eq!(one, StreamName::new("/a/b/", "c/").unwrap());
        assert_eq!(one, StreamName::parse("/a/b/c").unwrap());
        assert_eq!((one.app(), one.name()), ("a/b", "c"));
    }

    #[test]
    fn a_name_alone_is_in_the_default_app() {
        for name in [StreamName::new("", "talk"), StreamName::parse("talk")] {
            assert_eq!(name.unwrap().as_str(), "live/talk");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "n".repeat(limits::NAME + 1);
        for (path, error) in [
            ("", NameError::Empty),
            ("//", NameError::Empty),
            ("a//b", NameError::Part),
            ("live/..", NameError::Part),
            ("../etc/passwd", NameError::Part),
            ("live/.hidden", NameError::Part),
            ("live/a b", NameError::Character(' ')),
            ("live/a%2fb", NameError::Character('%')),
            ("live\\a", NameError::Character('\\')),
            ("live/a\r\nb", NameError::Character('\r')),
            ("live/<script>", NameError::Character('<')),
            ("a/b/c/d/e/f/g/h/i", NameError::Parts),
            (&long, NameError::Long(limits::NAME + 1)),
        ] {
            assert_eq!(StreamName::parse(path), Err(error), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_is_taken_again(path in "\\PC{0,40}") {
            if let Ok(name) = StreamName::parse(&path) {
                prop_assert_eq!(StreamName::parse(name.as_str()).unwrap(), name.clone());
                prop_assert_eq!(StreamName::new(name.app(), name.name()).unwrap(), name);
            }
        }
    }
}
